"""`penstock migrate`: bring the database to this version's tables and catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json
from penstock_client.cli.running import load_settings, run

if TYPE_CHECKING:
    from penstock_client.ledger import Seeded

#: A migration may rewrite a large table.
_DEADLINE_S = 3600.0


def register(app: typer.Typer) -> None:
    """Adds `penstock migrate`."""
    app.command("migrate", epilog="Example: penstock migrate --check")(migrate)


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if any are pending.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Apply the migrations that the database lacks, and bring its catalogue up to date.

    Safe to run from many places at once. What you have changed in the catalogue is kept.
    """
    applied, pending, seeded = run(_migrate(check=check))
    if json:
        print_json({"applied": applied, "pending": pending})
    else:
        for name in applied:
            typer.echo(f"applied {name}")
        for name in pending:
            typer.echo(f"pending {name}")
        if seeded:
            counts = f"{len(seeded.added)} rows added, {len(seeded.changed)} brought up to date"
            typer.echo(f"catalogue: {counts}")
        if not (applied or pending or seeded):
            typer.echo("nothing to do: the database is up to date")
    if pending:
        raise typer.Exit(1)


async def _migrate(*, check: bool) -> tuple[list[str], list[str], Seeded]:
    from penstock_client.ledger import Ledger, Seeded, apply_migrations, pending_migrations, seed

    settings = load_settings().model_copy(update={"deadline_s": _DEADLINE_S})
    ledger = await Ledger.connect(settings, max_size=1)
    try:
        async with ledger.pool.acquire() as connection:
            if check:
                return [], await pending_migrations(connection), Seeded()
            applied = await apply_migrations(connection)
            return applied, [], await seed(connection)
    finally:
        await ledger.close()
