"""Numbered migrations, forward only, each in a transaction of its own under an advisory lock.

The tables of the catalogue are brought up to date with the packaged one after them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from penstock_client.ledger.seeding import Seeded, seed_catalogue
from penstock_schemas.catalog import catalog

if TYPE_CHECKING:
    from penstock_client.ledger.ledger import Connection


_LOCK = 0x70656E73746F636B  # "penstock"

_TABLE = """
create schema if not exists penstock;
create table if not exists penstock.migrations (
    version     integer primary key,
    name        text not null,
    applied_at  timestamptz not null default now()
)
"""


def _all() -> list[tuple[int, str, str]]:
    folder = files("penstock_schemas").joinpath("migrations")
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name[:-4], entry.read_text("utf-8")) for name, entry in found]


async def _applied(connection: Connection) -> set[int]:
    if await connection.fetchval("select to_regclass('penstock.migrations')") is None:
        return set()
    return {row[0] for row in await connection.fetch("select version from penstock.migrations")}


async def pending_migrations(connection: Connection) -> list[str]:
    """The names of migrations that this database lacks, in order."""
    applied = await _applied(connection)
    return [name for version, name, _ in _all() if version not in applied]


async def migrate(connection: Connection) -> list[str]:
    """Apply what is missing, in order, then seed; returns the names of the migrations applied.

    Idempotent, and safe to run from many places at once.
    """
    done = await apply_migrations(connection)
    await seed(connection)
    return done


async def seed(connection: Connection) -> Seeded:
    """Bring the tables of the catalogue up to date with the packaged one. Idempotent."""
    return await seed_catalogue(connection, catalog(), today=datetime.now(UTC).date())


async def apply_migrations(connection: Connection) -> list[str]:
    """Apply what is missing, in order; returns the names applied. Safe to run from many places."""
    done: list[str] = []
    for version, name, text in _all():
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_TABLE)
            if version in await _applied(connection):
                continue
            await connection.execute(text)
            await connection.execute(
                "insert into penstock.migrations (version, name) values ($1, $2)", version, name
            )
            done.append(name)
    return done
