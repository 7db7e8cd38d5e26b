"""Both connections have the same methods, with the same parameters."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from penstock_client import Penstock, Producer, RemotePenstock
from penstock_client.backfill.service import Backfills
from penstock_client.pipelines.runs import Runs
from penstock_client.pipelines.skills import Skills
from penstock_client.producer import DIRECT_ONLY
from penstock_client.remote.backfills import RemoteBackfills
from penstock_client.remote.runs import RemoteRuns
from penstock_client.remote.skills import RemoteSkills
from penstock_client.remote.usage import RemoteUsage
from penstock_client.remote.webhooks import RemoteWebhooks
from penstock_client.remote.workspaces import RemoteWorkspaces
from penstock_client.usage import UsageReports
from penstock_client.webhooks.service import Webhooks
from penstock_client.workspaces import Workspaces

SERVICES = [
    (Backfills, RemoteBackfills),
    (Runs, RemoteRuns),
    (Skills, RemoteSkills),
    (UsageReports, RemoteUsage),
    (Webhooks, RemoteWebhooks),
    (Workspaces, RemoteWorkspaces),
]
#: What follows from other methods, and needs no words of its own.
INHERITED = {("Backfills", "wait"), ("Runs", "run"), ("Webhooks", "check")}


def public(kind: type[Any]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def parameters(kind: type[Any], name: str) -> list[tuple[str, Any, Any]]:
    signature = inspect.signature(getattr(kind, name))
    return [(each.name, each.kind, each.default) for each in signature.parameters.values()]


def test_remote_has_all_but_what_needs_the_servers() -> None:
    beside = {"connect", "settings", "sync"}
    assert public(Penstock) - DIRECT_ONLY - beside == public(Producer)
    assert public(RemotePenstock) - beside - {"await_body"} == public(Producer)


METHODS = [
    name for name in sorted(public(Producer)) if callable(inspect.getattr_static(Producer, name))
]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", [Producer, RemotePenstock])
def test_method_takes_the_same(kind: type[Any], name: str) -> None:
    assert parameters(kind, name) == parameters(Penstock, name)


@pytest.mark.parametrize(("direct", "remote"), SERVICES)
def test_service_has_each_method_with_the_same_parameters(
    direct: type[Any], remote: type[Any]
) -> None:
    for name in public(direct):
        if (direct.__name__, name) in INHERITED:
            continue
        assert name in vars(remote), f"{remote.__name__}.{name}"
        assert parameters(remote, name) == parameters(direct, name), name
