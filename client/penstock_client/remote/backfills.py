"""`backfills` over HTTP; each method promises what that of `Backfills` does."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import uuid4

import httpx
import orjson

from penstock_client.backfill.exporting import Exported
from penstock_client.backfill.loading import LoadedRow
from penstock_client.backfill.options import BackfillOptions
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.service import Backfills
from penstock_client.backfill.source import Malformed, Row, RowSource
from penstock_client.remote.http import Http
from penstock_client.remote.problems import away
from penstock_schemas.backfills import (
    INVALID_ROW,
    BackfillState,
    BackfillStatus,
    parse_backfill_id,
)
from penstock_schemas.errors import InvalidJob

#: Rows, and bytes, of one request at most.
_MOST_ROWS: Final = 1000
_MOST_BYTES: Final = 8 * 2**20
#: The name under which rows carry their ID, beside whatever names they have.
_ID: Final = "__id"
_POLL_S, _TELL_S, _PAUSE_S = 0.5, 2.0, 1.0
#: A load and an export are tried again so long while the gateway is away, in seconds.
_PATIENCE_S: Final = 600.0


class RemoteBackfills(Backfills):
    """Backfills.

    What a gateway does not take or show is refused with InvalidJob: `add`, for rows are loaded by
    `start`, and `plan`.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    async def start(
        self,
        plan: Plan,
        source: RowSource,
        *,
        options: BackfillOptions | None = None,
        on_loaded: Callable[[int], object] | None = None,
        on_wait: Callable[[str], object] | None = None,
    ) -> BackfillStatus:
        """Start a backfill of all rows of a source, or give the one that was started before.

        A line that is no row counts there as one without an ID. Else see `Backfills.start`.
        """
        await source.check(plan.needed_fields)
        create = partial(self.create, plan, identity=await source.fingerprint(), options=options)
        status = await create()
        if status.status is not BackfillState.LOADING:
            return status
        if status.rows and not source.is_repeatable:  # what is there may be of other rows
            await self.cancel(status.backfill_id)
            status = await create()
        await self._send(plan, source, status, on_loaded or _ignore, on_wait or _ignore)
        return await self.commit(status.backfill_id, sample=options.sample if options else None)

    async def create(
        self,
        plan: Plan,
        *,
        identity: str | None = None,
        origin: str = "",
        options: BackfillOptions | None = None,
    ) -> BackfillStatus:
        """Record a backfill that is to be loaded and started; see `Backfills.create`."""
        del origin  # a gateway notes that it came by the API
        body = {
            **plan.document(),
            **(options or BackfillOptions()).model_dump(mode="json", exclude_none=True),
            "workspace": plan.workspace,
            "name": plan.run or None,
            "examples": [{"text": each.text, "label": each.label} for each in plan.examples],
        }
        del body["run"]
        key = uuid4().hex if identity is None else hashlib.sha256(identity.encode()).hexdigest()
        return _status(
            await self._http.ask("POST", "/v1/backfills", body, headers={"Idempotency-Key": key})
        )

    async def add(self, backfill_id: str, rows: Sequence[LoadedRow], *, at: int) -> int:
        """Refused: `start` loads rows over a gateway."""
        raise _refused(f"rows of {backfill_id}, {len(rows)} at {at}", "`start` loads them")

    async def commit(self, backfill_id: str, *, sample: int | None = None) -> BackfillStatus:
        """Start a backfill whose rows are all there; nothing for one that has started."""
        body = {} if sample is None else {"sample": sample}
        return _status(await self._http.ask("POST", f"{_path(backfill_id)}/start", body))

    async def get(self, backfill_id: str, *, share: bool = False) -> BackfillStatus:
        """How a backfill stands, always with its share; raises UnknownBackfill."""
        del share
        return _status(await self._http.get(_path(backfill_id)))

    async def plan(self, backfill_id: str) -> Plan:
        """What a backfill asks of its rows; raises UnknownBackfill."""
        found = await self._http.get(f"{_path(backfill_id)}/plan")
        return Plan.of(found["workspace"], found["plan"])

    async def list(
        self,
        workspace: str,
        *,
        state: BackfillState | str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[BackfillStatus]:
        """A workspace's backfills, newest first; page on with `before`, the last ID seen."""
        label = BackfillState.label_of(state)
        wanted = {"workspace": workspace, "state": label, "before": before, "limit": limit}
        found = await self._http.get("/v1/backfills", wanted)
        return [_status(each) for each in found["backfills"]]

    async def follow(self, backfill_id: str) -> AsyncIterator[BackfillStatus]:
        """How the backfill stands, each time that has changed, and at least every two seconds."""
        clock = asyncio.get_running_loop().time
        seen, told_at = None, clock()
        while True:
            status, now = await self.get(backfill_id), clock()
            if status != seen or now - told_at >= _TELL_S:
                seen, told_at = status, now
                yield status
            await asyncio.sleep(_POLL_S)

    async def pause(self, backfill_id: str, *, reason: str = "") -> BackfillStatus:
        """Start no more rows of a running backfill. A gateway notes no `reason` but `by hand`."""
        del reason
        return _status(await self._http.ask("POST", f"{_path(backfill_id)}/pause"))

    async def resume(
        self, backfill_id: str, *, changes: Mapping[str, Any] | None = None
    ) -> BackfillStatus:
        """Let a paused backfill go on; see `Backfills.resume`."""
        path = f"{_path(backfill_id)}/resume"
        return _status(await self._http.ask("POST", path, dict(changes or {})))

    async def retry_failed(self, backfill_id: str) -> int:
        """Ask the failed rows again, as new jobs; gives how many rows."""
        path = f"{_path(backfill_id)}/retry-failed"
        return (await self._http.ask("POST", path, repeatable=False))["rows"]

    async def cancel(self, backfill_id: str) -> BackfillStatus:
        """End a backfill now, with its calls under way; what was answered stays. Idempotent."""
        return _status(await self._http.ask("DELETE", _path(backfill_id)))

    async def export(
        self, backfill_id: str, *, after: int = -1, every_row: bool = False
    ) -> AsyncIterator[Exported]:
        """The rows that have ended, in the order of the input, with their answers.

        A connection that is lost is made again, and goes on after the last row that came.
        """
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + _PATIENCE_S
        while True:
            wanted = {"after": after, "every_row": every_row, "numbered": True}
            try:
                async with self._http.lines(f"{_path(backfill_id)}/export", wanted) as lines:
                    async for line in lines:
                        row = Exported(**orjson.loads(line))
                        give_up_at = clock() + _PATIENCE_S
                        after = row.number
                        yield row
                return
            except httpx.TransportError as error:
                if clock() >= give_up_at:
                    raise away(self._http.url, str(error) or type(error).__name__) from None
                await asyncio.sleep(_PAUSE_S)

    async def invalid_rows(
        self, backfill_id: str, *, after: int = -1, limit: int = 100
    ) -> list[str]:
        """Why the first rows after number `after` could not be asked, each with its place."""
        told: list[str] = []
        async for row in self.export(backfill_id, after=after, every_row=True):
            if len(told) >= limit:
                break
            error: Mapping[str, Any] | None = row.answer["error"]
            if error is not None and error["kind"] == INVALID_ROW:
                told.append(error["message"])
        return told

    async def _send(
        self,
        plan: Plan,
        source: RowSource,
        status: BackfillStatus,
        on_loaded: Callable[[int], object],
        on_wait: Callable[[str], object],
    ) -> None:
        at, wanted = status.rows, set(plan.needed_fields)
        path = f"{_path(status.backfill_id)}/rows"
        async for page in source.pages(at):
            for row in page if wanted else ():
                wanted.difference_update(row.fields)
            for rows in _parts(page):
                body = b'{"at":%d,"id_field":"%s","rows":[%s]}'
                body %= (at, _ID.encode(), b",".join(rows))
                await self._persistently(lambda sent=body: self._add(path, sent), on_wait)
                at += len(rows)
            on_loaded(at)
        if wanted and at and not status.rows:
            await self.cancel(status.backfill_id)
            told = f"input: no row of {source.origin} has the field {min(wanted)!r}"
            raise InvalidJob(told, field=min(wanted))

    async def _add(self, path: str, body: bytes) -> int:
        return (await self._http.ask("POST", path, body))["rows"]


def _parts(page: Sequence[Row | Malformed]) -> Iterator[list[bytes]]:
    """The rows of a page as JSON, as many together as a request may have."""
    part, size = list[bytes](), 0
    for row in page:
        body = _row(row)
        if part and (len(part) == _MOST_ROWS or size + len(body) > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    if part:
        yield part


def _row(row: Row | Malformed) -> bytes:
    """A row as it is sent; one that cannot be asked without what it would be asked by."""
    if isinstance(row, Malformed):
        return b"{}"
    fields = {} if row.problem else row.fields
    return orjson.dumps({**fields, _ID: row.row_id}, default=str)


def _path(backfill_id: str) -> str:
    return f"/v1/backfills/{parse_backfill_id(backfill_id)}"


def _status(shown: Mapping[str, Any]) -> BackfillStatus:
    return BackfillStatus.model_validate(shown)


def _refused(what: str, instead: str) -> InvalidJob:
    return InvalidJob(f"{what}: a gateway does not take or show this; {instead}")


def _ignore(_: object) -> None:
    """Nobody wants to know."""
