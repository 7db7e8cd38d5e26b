"""The courier: takes deliveries that are due, sends each, and notes what became of it.

A lease says who sends a delivery; one whose steward was lost is due again when that ends. So an
event may come twice, with the same ID, and never two of one subject at once. What a secret does not
open for waits, without an attempt being counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from penstock_client import Penstock, Settings
from penstock_client.background import end
from penstock_client.ledger import Ledger
from penstock_client.webhooks.rows import event_id_of
from penstock_client.webhooks.service import SEALED_AS
from penstock_client.webhooks.signing import signed_headers
from penstock_schemas.errors import PenstockError
from penstock_schemas.webhooks import DeliveryState
from penstock_worker.keyring import FILE_VARIABLE, KEYS_VARIABLE, CannotOpen, Keyring
from penstock_worker.webhooks.composing import compose
from penstock_worker.webhooks.rooms import Flow, rooms
from penstock_worker.webhooks.schedule import Next, Outcome, after
from penstock_worker.webhooks.sending import Sending

logger = logging.getLogger("penstock.steward")

#: Seconds from one look to the next.
SEND_S: Final = 0.25
#: Longer than an attempt can take, with all that it asks the ledger; in seconds.
LEASE_S: Final = 60.0
#: Deliveries are forgotten after so many days.
KEEP_DAYS: Final = 30
#: Workspaces and hosts that one turn looks at.
FLOWS: Final = 1000
_FORGET_EVERY_S = 600.0
_FORGET_PAGE = 5000
_REFRESH_EVERY_S = 2.0
_KEYLESS_EVERY_S = 15.0
#: A workspace whose secrets do not open is left alone for so long.
_BLOCKED_S = 15.0
_CLOSE_S = 5.0
#: Attempts that end within so many seconds make room together.
_GATHER_S = 0.02
_SERVED_MOST = 10_000
KEYLESS: Final = (
    f"no steward has the private keys: give one {KEYS_VARIABLE} or {FILE_VARIABLE}, as workers have"
)


class Courier:
    """Sends deliveries for one steward; several share the work.

    `keyring` opens the secrets; where it is empty, deliveries wait for a steward that has keys.
    """

    def __init__(
        self,
        penstock: Penstock,
        settings: Settings,
        keyring: Keyring,
        *,
        sending: Sending | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._ledger: Ledger = penstock.ledger
        self._keyring = keyring
        self._sending = sending or Sending(private=settings.webhook_private)
        self._jitter = jitter
        self._flying: Counter[Flow] = Counter()
        self._served: dict[Flow, int] = {}
        self._blocked: dict[str, float] = {}
        self._tasks: dict[asyncio.Task[None], Any] = {}
        self._turns = 0
        self._behind: Flow = ("", "")
        self._next: dict[str, float] = {}

    async def turn(self) -> None:
        """Begin what is due, and more of it as long as attempts make room for others.

        Returns without awaiting the last of them.
        """
        if self._is_time("refresh", _REFRESH_EVERY_S) and self._keyring.refresh():
            self._blocked.clear()
        if not self._keyring:
            if self._is_time("keyless", _KEYLESS_EVERY_S):
                await self._ledger.fetch("webhook_keyless", KEYLESS)
            return
        if self._is_time("forget", _FORGET_EVERY_S):
            await self._ledger.fetch("webhook_forget", KEEP_DAYS, _FORGET_PAGE)
        while await self._begin_due():
            await asyncio.wait(self._tasks, timeout=SEND_S, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(_GATHER_S)

    async def close(self) -> None:
        """Let attempts under way end for a moment; give the others back."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        left = dict(self._tasks)
        await end(left)
        await self._sending.aclose()
        if left:
            await self._give_back(list(left.values()), wait_s=0.0)

    async def idle(self) -> None:
        """Wait until nothing that was begun is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _begin_due(self) -> bool:
        """Lease what there is room for; whether that was anything."""
        self._turns += 1
        room = rooms(await self._due(), flying=self._flying, served=self._served)
        if not room:
            return False
        flows = list(room)
        columns = [flow[0] for flow in flows], [flow[1] for flow in flows], list(room.values())
        rows = await self._ledger.fetch("webhook_claim", *columns, LEASE_S)
        for row in rows:
            self._begin(row)
        if len(self._served) > _SERVED_MOST:
            self._served.clear()
        self._served |= dict.fromkeys(flows, self._turns)
        return bool(rows)

    async def _due(self) -> list[Flow]:
        rows = await self._ledger.fetch("webhook_flows", FLOWS, *self._behind)
        full = len(rows) == FLOWS
        self._behind = (rows[-1]["workspace"], rows[-1]["host"]) if full else ("", "")
        now = time.monotonic()
        self._blocked = {name: until for name, until in self._blocked.items() if until > now}
        return [
            (row["workspace"], row["host"])
            for row in rows
            if row["due"] and row["workspace"] not in self._blocked
        ]

    def _is_time(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._next.get(what, 0.0):
            return False
        self._next[what] = now + every_s
        return True

    def _begin(self, row: Any) -> None:
        flow: Flow = (row["workspace"], row["host"])
        self._flying[flow] += 1
        task = asyncio.create_task(self._deliver(row), name="penstock-webhook")
        self._tasks[task] = row

        def ended(done: asyncio.Task[None]) -> None:
            del self._tasks[task]
            if not done.cancelled() and (error := done.exception()) is not None:
                logger.warning("webhook.left", extra={**_named(row), "reason": str(error)})
            self._flying[flow] -= 1
            if not self._flying[flow]:
                del self._flying[flow]

        task.add_done_callback(ended)

    async def _deliver(self, row: Any) -> None:
        """One attempt, from its lease to its settlement."""
        try:
            secrets = await self._secrets(row["workspace"])
            if not secrets:
                await self._give_back([row], wait_s=_BLOCKED_S)
                return
            outcome = await self._attempt(row, secrets)
            await self._settle(row, outcome)
        except (PenstockError, OSError, TimeoutError) as error:
            told = str(error) or type(error).__name__  # its lease ends by itself
            logger.warning("webhook.left", extra={**_named(row), "reason": told})
        except Exception:
            logger.exception("webhook.internal_error", extra=_named(row))
            await self._settle(row, Outcome(problem="an error in Penstock; please report it"))

    async def _attempt(self, row: Any, secrets: list[str]) -> Outcome:
        body: bytes | None = row["body"]
        if body is None:
            body = await compose(self._ledger, row)
            await self._ledger.fetch_safely("webhook_keep_body", row["id"], body)
        headers = signed_headers(
            secrets, event_id=event_id_of(row["id"]), timestamp_s=int(time.time()), body=body
        )
        return await self._sending.post(row["url"], body, headers)

    async def _settle(self, row: Any, outcome: Outcome) -> None:
        then = after(outcome, attempts=row["attempts"], jitter=self._jitter())
        args = (row["id"], row["lease"], then.state, outcome.status, outcome.problem, then.wait_s)
        await self._ledger.fetch_safely("webhook_settle", *args)
        _log(row, outcome, then)

    async def _secrets(self, workspace: str) -> list[str]:
        """What to sign with, the newest first; empty where nothing opens, which is noted."""
        rows = await self._ledger.fetch("webhook_sealed_secrets", workspace)
        opened: list[str] = []
        problem: str | None = None
        for row in rows:
            try:
                opened.append(
                    self._keyring.open(row["sealed"], workspace=workspace, provider=SEALED_AS)
                )
            except CannotOpen as error:
                problem = f"no steward can open the signing secret: {error}"
        if opened:
            problem = None
        else:
            self._blocked[workspace] = time.monotonic() + _BLOCKED_S
        if any(row["problem"] != problem for row in rows):
            await self._ledger.fetch("webhook_secret_problem", workspace, problem)
        return opened

    async def _give_back(self, held: list[Any], *, wait_s: float) -> None:
        ids, leases = [row["id"] for row in held], [row["lease"] for row in held]
        await self._ledger.fetch("webhook_give_back", ids, leases, wait_s)


def _named(row: Any) -> dict[str, Any]:
    """What logs say of a delivery. Of the address only its host: the rest may hold a token."""
    return {
        "event_id": event_id_of(row["id"]),
        "workspace": row["workspace"],
        "type": row["type"],
        "host": row["host"],
        "attempt": row["attempts"] + 1,
    }


def _log(row: Any, outcome: Outcome, then: Next) -> None:
    extra = {**_named(row), "status": outcome.status, "reason": outcome.problem}
    if then.state is DeliveryState.DELIVERED:
        logger.debug("webhook.delivered", extra=extra)
    elif then.state is DeliveryState.GIVEN_UP:
        logger.warning("webhook.given_up", extra=extra)
    else:
        logger.info("webhook.failed", extra={**extra, "again_in_s": round(then.wait_s)})
