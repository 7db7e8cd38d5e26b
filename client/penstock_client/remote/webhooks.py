"""`webhooks` over HTTP; each method promises what that of `Webhooks` does."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from penstock_client.remote.http import Http
from penstock_client.webhooks.rows import (
    Delivery,
    NewSecret,
    SecretInfo,
    event_id_of,
    parse_event_id,
)
from penstock_client.webhooks.service import KEEP_PREVIOUS_H, Webhooks
from penstock_schemas.webhooks import DeliveryState

_DELIVERY, _SECRET = TypeAdapter(Delivery), TypeAdapter(SecretInfo)


class RemoteWebhooks(Webhooks):
    """Secrets and deliveries of webhooks."""

    def __init__(self, http: Http) -> None:
        self._http = http
        # The gateway knows which addresses may be private.
        self._private = "allow"

    async def make_secret(
        self, workspace: str, *, rotate: bool = False, keep_previous_h: float = KEEP_PREVIOUS_H
    ) -> NewSecret:
        """Make a workspace's signing secret; it is told this once. See `Webhooks.make_secret`."""
        body = {"rotate": rotate, "keep_previous_h": keep_previous_h}
        found = await self._http.ask(
            "POST",
            "/v1/webhooks/secrets",
            body,
            params={"workspace": workspace},
            repeatable=False,
        )
        return NewSecret(_secret(found), found["secret"])

    async def secrets(self, workspace: str) -> builtins.list[SecretInfo]:
        """The secrets in force, the newest first; raises UnknownWorkspace."""
        found = await self._http.get("/v1/webhooks/secrets", {"workspace": workspace})
        return [_secret(each) for each in found["secrets"]]

    async def list(
        self,
        workspace: str,
        *,
        state: DeliveryState | str | None = None,
        subject: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Delivery]:
        """A workspace's deliveries of the last 30 days, newest first; see `Webhooks.list`."""
        wanted = {
            "workspace": workspace,
            "state": DeliveryState.label_of(state),
            "subject": subject,
            "before": before,
            "limit": limit,
        }
        found = await self._http.get("/v1/webhooks/deliveries", wanted)
        return [_delivery(each) for each in found["deliveries"]]

    async def get(self, event_id: str) -> Delivery:
        """One delivery; raises UnknownDelivery."""
        return _delivery(await self._http.get(_path(event_id)))

    async def retry(self, event_id: str) -> Delivery:
        """Send it now; see `Webhooks.retry`."""
        path = f"{_path(event_id)}/retry"
        return _delivery(await self._http.ask("POST", path, repeatable=False))

    async def test(self, workspace: str, url: str) -> Delivery:
        """Send an event `webhook.test` to an address; `get` tells what became of it."""
        of = {"workspace": workspace}
        path, body = "/v1/webhooks/test", {"url": url}
        return _delivery(await self._http.ask("POST", path, body, params=of, repeatable=False))


def _path(event_id: str) -> str:
    return f"/v1/webhooks/deliveries/{event_id_of(parse_event_id(event_id))}"


def _secret(shown: Mapping[str, Any]) -> SecretInfo:
    return _SECRET.validate_python(shown)


def _delivery(shown: Mapping[str, Any]) -> Delivery:
    return _DELIVERY.validate_python({**shown, "state": DeliveryState.parse(shown["state"])})
