"""`penstock limits`: what it sets, lifts and shows, and how it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client import Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_worker.admission.index import Limit, ProviderIndex
from tests.cli.conftest import Run


@pytest.fixture
def fresh(empty: Settings, servers: None) -> None:
    """Empty tables and indexes."""


def listed(run: Run, *options: str) -> list[dict[str, Any]]:
    return orjson.loads(run("limits", "list", "--json", *options).out)


async def in_index(settings: Settings, limits: list[Limit], **fields: object) -> None:
    """Put limits into the index of openai as a steward does, and change a bucket as workers do."""
    redis = redis_pool(settings)
    index = ProviderIndex(redis, "openai")
    await index.set_limits(limits)
    for limit in limits if fields else ():
        key = f"{index.keys.base}b:{limit.scope}|{limit.unit}/{limit.window_ms}"
        await redis.hset(key, mapping=fields)
    await close_redis(redis)


@pytest.mark.parametrize("command", ["list", "set", "unset"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    last = " ".join(run("limits", command, "--help").out.strip().rpartition("\n\n")[2].split())
    assert last.startswith(f"Example: penstock limits {command}")


def test_set_is_listed_and_not_in_force_without_a_steward(run: Run, fresh: None) -> None:
    ran = run("limits", "set", "openai", "--requests", "500", "--concurrency", "20")
    assert ran.code == 0
    assert ran.out == "openai, provider: requests 500\nopenai, provider: concurrency 20\n"
    found = {(row["unit"], row["window_s"]): row for row in listed(run)}
    assert found["requests", 60]["amount"] == 500
    assert found["concurrency", 0]["amount"] == 20
    assert [row["in_force"] for row in found.values()] == [False, False]
    assert "not in force yet" in run("limits", "list").out


@pytest.mark.parametrize(
    ("options", "scope"),
    [
        (["-w", "*"], "workspace:*"),
        (["--model", "openai/gpt-4o"], "model:gpt-4o"),
        (["--group", "platform/gpt-4o"], "group:platform/gpt-4o"),
    ],
)
def test_set_names_its_scope_by_an_option(
    run: Run, fresh: None, options: list[str], scope: str
) -> None:
    assert run("limits", "set", "openai", "--tokens", "9000", "--per", "day", *options).code == 0
    (row,) = listed(run)
    assert (row["scope"], row["window_s"], row["amount"]) == (scope, 86_400, 9000)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["openai"], "give at least one amount"),
        (["openai", "--requests", "0"], "--requests"),
        (["openai", "--requests", "5", "--per", "hour"], "--per"),
        (["openai", "--requests", "5", "-w", "acme", "--tag", "a"], "give one of them"),
        (["openai", "--requests", "5", "--tag", "a|b"], "tag: 'a|b'"),
    ],
)
def test_set_refuses_what_makes_no_sense(run: Run, args: list[str], told: str) -> None:
    ran = run("limits", "set", *args)
    assert ran.code == 2
    assert told in ran.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["openia", "--requests", "5"], "'openia' is not in the catalogue"),
        (["openai", "--requests", "5", "-w", "nobody"], "workspace: 'nobody' does not exist"),
    ],
)
def test_set_refuses_what_does_not_exist(run: Run, fresh: None, args: list[str], told: str) -> None:
    ran = run("limits", "set", *args)
    assert (ran.code, listed(run)) == (2, [])
    assert told in ran.err


def test_unset_lifts_a_scope(run: Run, fresh: None) -> None:
    run("limits", "set", "openai", "--requests", "500", "--tokens", "9000")
    run("limits", "set", "openai", "--requests", "5", "--tag", "nightly")
    ran = run("limits", "unset", "openai")
    assert (ran.code, ran.out.count("lifted")) == (0, 2)
    assert [row["scope"] for row in listed(run)] == ["tag:nightly"]


def test_unset_lifts_a_unit_and_a_window_only(run: Run, fresh: None) -> None:
    run("limits", "set", "openai", "--requests", "500", "--tokens", "9000")
    run("limits", "set", "openai", "--requests", "7000", "--per", "day")
    assert run("limits", "unset", "openai", "--requests", "--per", "day").code == 0
    assert [(row["unit"], row["window_s"]) for row in listed(run)] == [
        ("requests", 60),
        ("tokens", 60),
    ]


def test_unset_of_what_is_not_set_fails(run: Run, fresh: None) -> None:
    ran = run("limits", "unset", "openai", "--tag", "nightly")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "openai, tag:nightly: no such limit is set" in ran.err


def test_list_shows_what_the_index_has_learned(run: Run, fresh: None, empty: Settings) -> None:
    limit = Limit("group:platform/gpt-4o", "tokens", 60_000, 30_000)
    changed = {"source": "learned", "factor": "0.81", "refused": 3, "refused_at": 1}
    asyncio.run(in_index(empty, [limit], **changed))
    (row,) = listed(run, "--provider", "openai")
    assert (row["source"], row["share"], row["refused"]) == ("learned", 0.81, 3)
    assert row["in_force"]
    assert listed(run, "--provider", "mistral") == []


def test_list_tells_when_what_was_set_is_in_force(run: Run, fresh: None, empty: Settings) -> None:
    run("limits", "set", "openai", "--concurrency", "20")
    asyncio.run(in_index(empty, [Limit("provider", "concurrency", 0, 20)], used=4))
    (row,) = listed(run)
    assert (row["source"], row["in_force"], row["used"]) == ("set", True, 4)


def test_list_shows_the_files_limits_under_those_that_were_set(
    run: Run, fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text("[providers.openai.limits]\nrequests_per_minute = 9\nconcurrency = 20\n")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(file))
    run("limits", "set", "openai", "--requests", "500")
    found = {row["unit"]: (row["source"], row["amount"]) for row in listed(run)}
    assert found == {"requests": ("set", 500), "concurrency": ("file", 20)}
