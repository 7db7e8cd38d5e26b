"""Starting backfills: record, load page by page, commit. The first half of `penstock.backfills`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import orjson
from pydantic_core import from_json
from uuid_utils import uuid7

from penstock_client.backfill.loading import COLUMNS, LoadedRow, loaded_row, refused
from penstock_client.backfill.options import BackfillOptions
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.rows import status_of
from penstock_client.backfill.source import RowSource
from penstock_client.connections import POSTGRES_AWAY
from penstock_client.ledger.queries import query
from penstock_client.settings import DATABASE_VARIABLE
from penstock_client.tracing import current_trace
from penstock_client.webhooks.addresses import check_webhook
from penstock_schemas.backfills import BackfillState, BackfillStatus, parse_backfill_id
from penstock_schemas.errors import InvalidJob, Unavailable, UnknownBackfill

if TYPE_CHECKING:
    from penstock_client.client import Penstock

#: Statements that go over all rows of a backfill may take so long, in seconds.
_LONG_S: Final = 3600.0
#: How long a load is tried again while Postgres is away, in seconds.
_PATIENCE_S: Final = 600.0


class BackfillStarts:
    """What starts backfills, and what reads and changes one in the ledger."""

    def __init__(self, penstock: Penstock) -> None:
        self._penstock = penstock
        self._ledger = penstock.ledger

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

        The same plan and rows are the same backfill, unless that was cancelled; a load that was
        interrupted goes on where it stopped. Raises before anything is asked: InvalidJob (a
        missing column, an ID that stands there twice), UnknownWorkspace, UnknownModel,
        UnknownProvider, UnknownConfiguration.
        """
        await source.check(plan.needed_fields)
        identity = await source.fingerprint()
        status = await self.create(plan, identity=identity, origin=source.origin, options=options)
        if status.status is not BackfillState.LOADING:
            return status
        await self._load(plan, source, status, on_loaded or _ignore, on_wait or _ignore)
        return await self.commit(status.backfill_id, sample=options.sample if options else None)

    async def create(
        self,
        plan: Plan,
        *,
        identity: str | None = None,
        origin: str = "",
        options: BackfillOptions | None = None,
    ) -> BackfillStatus:
        """Record a backfill that is to be loaded by `add`, and started by `commit`.

        With an `identity` the backfill of the workspace that has this plan and identity is given,
        unless it was cancelled. Raises as `start`.
        """
        given = options or BackfillOptions()
        config = await self._penstock.workspaces.get(plan.workspace)
        config.configuration(plan.configuration)
        await self._penstock.check(plan.workspace, model=plan.model)
        if given.webhook is not None:
            check_webhook(given.webhook, private=self._penstock.settings.webhook_private)
        backfill = UUID(int=uuid7().int)
        known = f"{plan.identity}:{identity}" if identity else str(backfill)
        args = (
            backfill, plan.workspace, plan.run, known, plan.identity, _json(plan.document()),
            origin[:1000], given.webhook, current_trace(), given.window, plan.rows_per_call,
            given.dedupe, given.max_cost_usd, given.max_error_rate,
        )  # fmt: skip
        rows = await self._ledger.fetch_safely("backfill_create", *args)
        if not rows:
            rows = await self._ledger.fetch_safely("backfill_find", plan.workspace, known)
        return await self._status(str(rows[0]["id"] if rows else backfill))

    async def add(self, backfill_id: str, rows: Sequence[LoadedRow], *, at: int) -> int:
        """Add a page of rows, of which the first is number `at`; gives how many there are then.

        Safe to repeat: rows that are there already change nothing. Raises UnknownBackfill, and
        InvalidJob for a page that leaves a gap, or a backfill that is not being loaded.
        """
        known = known_id(backfill_id)

        async def change(row: Any, connection: Any) -> int:
            _must_load(row)
            loaded: int = row["loaded"]
            if at > loaded:
                raise InvalidJob(f"at: {loaded:,} rows are there; go on with that", field="at")
            new = rows[loaded - at :]  # without what is there already
            records = [each.record(known, loaded + place) for place, each in enumerate(new)]
            await connection.copy_records_to_table(
                "backfill_rows", schema_name="penstock", records=records, columns=COLUMNS,
                timeout=self._ledger.deadline_s,
            )  # fmt: skip
            args = (known, len(new), refused(new))
            await self._ledger.fetch("backfill_loaded", *args, connection=connection)
            return loaded + len(new)

        return await self._locked(known, change)

    async def commit(self, backfill_id: str, *, sample: int | None = None) -> BackfillStatus:
        """Start a backfill whose rows are all there; nothing for one that has started. Idempotent.

        With `sample` that many rows are asked, spread evenly over all; then it is paused. Raises
        UnknownBackfill, and InvalidJob for an ID that two rows have; the backfill is gone then.
        """
        known = known_id(backfill_id)
        repeated = await self._locked(known, lambda row, held: self._commit(row, held, sample))
        if repeated is not None:
            await self._long("backfill_forget", known)
            raise repeated
        return await self._status(backfill_id)

    async def _load(
        self,
        plan: Plan,
        source: RowSource,
        status: BackfillStatus,
        on_loaded: Callable[[int], object],
        on_wait: Callable[[str], object],
    ) -> None:
        at = status.rows
        if at and not source.is_repeatable:
            await self._long("backfill_unload", UUID(status.backfill_id))
            at = 0
        wanted, objects = set(plan.needed_fields), False
        async for page in source.pages(at):
            for row in page if wanted else ():
                wanted.difference_update(row.fields)
                objects = objects or bool(row.fields)
            rows = [loaded_row(plan, row, source.where(row.line)) for row in page]
            await self._persistently(partial(self.add, status.backfill_id, rows, at=at), on_wait)
            at += len(rows)
            on_loaded(at)
        if objects and wanted and at and not status.rows:
            await self._long("backfill_forget", UUID(status.backfill_id))
            raise InvalidJob(
                f"input: no row of {source.origin} has the field {min(wanted)!r}",
                field=min(wanted),
            )

    async def _persistently(
        self, add: Callable[[], Awaitable[int]], on_wait: Callable[[str], object]
    ) -> int:
        """Try a page again while Postgres is away, for ten minutes."""
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + _PATIENCE_S
        while True:
            try:
                return await add()
            except Unavailable as error:
                if clock() >= give_up_at:
                    raise
                on_wait(f"waiting: {error}")
                await asyncio.sleep(1.0)

    async def _commit(self, row: Any, connection: Any, sample: int | None) -> InvalidJob | None:
        if row["state"] != BackfillState.LOADING:
            return None
        known: UUID = row["id"]

        async def run(name: str, *args: Any) -> Any:
            return await self._long(name, known, *args, connection=connection)

        for found in await run("backfill_repeated"):
            return _repeated(row, found)
        duplicates = (await run("backfill_same"))[0]["duplicates"] if row["dedupe"] else 0
        adopted, sibling = 0, (row["workspace"], row["plan_key"])
        if (await run("backfill_siblings", *sibling))[0]["siblings"]:
            adopted = (await run("backfill_adopt", *sibling, row["dedupe"]))[0]["adopted"]
        await run("backfill_begin", duplicates, adopted, sample)
        if sample is not None:
            await run("backfill_sample", sample)
        return None

    async def _row(self, backfill_id: str) -> Any:
        rows = await self._ledger.fetch_safely("backfill_get", [known_id(backfill_id)])
        if not rows:
            raise UnknownBackfill(backfill_id)
        return rows[0]

    async def _long(self, name: str, *args: Any, connection: Any = None) -> list[Any]:
        """Run a statement that may go over all rows of a backfill."""
        if connection is not None:
            return await connection.fetch(query(name), *args, timeout=_LONG_S)
        async with self._ledger.pool.acquire(timeout=self._ledger.deadline_s) as acquired:
            return await acquired.fetch(query(name), *args, timeout=_LONG_S)

    async def _locked(self, known: UUID, change: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        """Change a backfill under its lock, in one transaction."""
        try:
            acquired = self._ledger.pool.acquire(timeout=self._ledger.deadline_s)
            async with acquired as connection, connection.transaction():
                rows = await self._ledger.fetch("backfill_lock", known, connection=connection)
                if not rows:
                    raise UnknownBackfill(str(known))
                return await change(rows[0], connection)
        except (*POSTGRES_AWAY, asyncpg.LockNotAvailableError) as error:
            detail = str(error) or type(error).__name__
            raise Unavailable("Postgres", detail, variable=DATABASE_VARIABLE) from None

    async def _status(self, backfill_id: str) -> BackfillStatus:
        return status_of(await self._row(backfill_id))


def known_id(text: str) -> UUID:
    """A backfill's ID; raises InvalidId."""
    return UUID(parse_backfill_id(text))


def _must_load(row: Any) -> None:
    if row["state"] != BackfillState.LOADING:
        told = f"backfill {row['id']} has its rows already: it is committed"
        raise InvalidJob(told, field="backfill_id")


def _repeated(row: Any, found: Any) -> InvalidJob:
    where = f"{row['origin']}:{found['line']}"
    first, row_id = found["first_line"], from_json(found["row_id"])
    told = f"{where}: the ID {row_id!r} was on line {first} already; IDs must be unique"
    return InvalidJob(told, field="id")


def _json(document: Any) -> str:
    return orjson.dumps(document).decode()


def _ignore(_: object) -> None:
    """Nobody wants to know."""
