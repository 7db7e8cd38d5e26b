"""`penstock.webhooks`: a workspace's signing secrets, and what became of its deliveries."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from uuid_utils import uuid7

from penstock_client.ledger import Ledger
from penstock_client.sealing import seal, sealing_id
from penstock_client.webhooks.addresses import Private, check_webhook
from penstock_client.webhooks.rows import (
    Delivery,
    NewSecret,
    SecretInfo,
    delivery,
    event_id_of,
    parse_event_id,
    secret_info,
)
from penstock_client.webhooks.signing import new_secret
from penstock_schemas.errors import ConfigurationError, InvalidJob, UnknownDelivery
from penstock_schemas.webhooks import DeliveryState, WebhookUrl

#: What a signing secret is sealed as, where provider keys have their provider; none has a blank.
SEALED_AS: Final = "webhook secret"
#: After a rotation the secret before is signed with for so many hours more.
KEEP_PREVIOUS_H: Final = 24.0
_MOST_KEEP_H: Final = 24.0 * 30
_URL = TypeAdapter[str](WebhookUrl)


class Webhooks:
    """Secrets and deliveries of webhooks. Every method that asks the ledger raises Unavailable."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        private: Private,
        check_workspace: Callable[[str], Awaitable[object]],
        public_key: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._ledger = ledger
        self._private: Private = private
        self._check_workspace = check_workspace
        self._public_key = public_key

    def check(self, url: str | None) -> None:
        """Refuse an address that nothing would be sent to; raises InvalidJob. None is fine."""
        if url is None:
            return
        try:
            _URL.validate_python(url)
        except ValidationError as error:
            told = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise InvalidJob(f"webhook: {told}", field="webhook") from None
        check_webhook(url, private=self._private)

    async def make_secret(
        self, workspace: str, *, rotate: bool = False, keep_previous_h: float = KEEP_PREVIOUS_H
    ) -> NewSecret:
        """Make a workspace's signing secret, sealed for stewards; it is told this once.

        With `rotate` in place of the one before, with which deliveries are signed too for
        `keep_previous_h` hours more; 0 ends it at once. Never more than two are in force. Raises
        UnknownWorkspace, and ConfigurationError where there is one already and `rotate` is False,
        or no worker has published a key to seal to.
        """
        if not 0 <= keep_previous_h <= _MOST_KEEP_H:
            told = f"keep_previous_h: must be from 0 to {_MOST_KEEP_H:g} hours"
            raise InvalidJob(told, field="keep_previous_h")
        await self._check_workspace(workspace)
        public_key = await self._public_key()
        secret = new_secret()
        secret_id = "whs-" + hashlib.sha256(secret.encode()).hexdigest()[:10]
        sealed = seal(secret, public_key, workspace=workspace, provider=SEALED_AS)
        rows = await self._ledger.fetch_safely(
            "webhook_secret_set",
            workspace,
            secret_id,
            sealed,
            sealing_id(public_key),
            rotate,
            keep_previous_h * 3600,
        )
        if rows:
            return NewSecret(secret_info(rows[0]), secret)
        if await self.secrets(workspace) and not rotate:
            raise ConfigurationError(
                f"workspace {workspace} has a signing secret, which cannot be shown again: "
                "--rotate makes another, and both are signed with for a day"
            )
        raise ConfigurationError("the workers' key was changed meanwhile; try again")

    async def secrets(self, workspace: str) -> builtins.list[SecretInfo]:
        """The secrets in force, the newest first; raises UnknownWorkspace."""
        await self._check_workspace(workspace)
        rows = await self._ledger.fetch_safely("webhook_secrets", workspace)
        return [secret_info(row) for row in rows]

    async def list(
        self,
        workspace: str,
        *,
        state: DeliveryState | str | None = None,
        subject: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Delivery]:
        """A workspace's deliveries of the last 30 days, newest first.

        Of one job, run or backfill with `subject`; page on with `before`, the last event ID seen.
        Raises UnknownWorkspace, and InvalidJob for what is no ID.
        """
        await self._check_workspace(workspace)
        of = None if subject is None else _subject(subject)
        last = None if before is None else parse_event_id(before)
        args = (workspace, DeliveryState.of(state), of, last, limit)
        rows = await self._ledger.fetch_safely("webhook_deliveries", *args)
        return [delivery(row) for row in rows]

    async def get(self, event_id: str) -> Delivery:
        """One delivery; raises UnknownDelivery."""
        rows = await self._ledger.fetch_safely("webhook_delivery", parse_event_id(event_id))
        if not rows:
            raise UnknownDelivery(event_id)
        return delivery(rows[0])

    async def retry(self, event_id: str) -> Delivery:
        """Send it now: one that waits for its next attempt, was given up, or was delivered.

        It keeps its ID and its sequence, and begins with all its attempts; events of the same
        subject that are on their way go first. Raises UnknownDelivery.
        """
        found = await self.get(event_id)
        key = parse_event_id(event_id)
        await self._ledger.fetch_safely("webhook_retry", found.workspace, key)
        return await self.get(event_id)

    async def test(self, workspace: str, url: str) -> Delivery:
        """Send an event `webhook.test` to an address; `get` tells what became of it.

        Raises UnknownWorkspace, InvalidJob for an address that cannot be one.
        """
        await self._check_workspace(workspace)
        self.check(url)
        subject = UUID(int=uuid7().int)
        await self._ledger.fetch_safely("webhook_test", workspace, subject, url)
        rows = await self._ledger.fetch_safely(
            "webhook_deliveries", workspace, None, subject, None, 1
        )
        return await self.get(event_id_of(rows[0]["id"]))


def _subject(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        told = f"{text[:60]!r} is not the ID of a job, run or backfill"
        raise InvalidJob(told, field="subject") from None
