"""`penstock migrate`: bring the database to this version's tables."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock_client.cli.printing import print_json
from penstock_client.cli.running import load_settings, run

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
    """Apply the migrations that the database lacks; safe to run from many places at once."""
    applied, pending = run(_migrate(check=check))
    if json:
        print_json({"applied": applied, "pending": pending})
    else:
        for name in applied:
            typer.echo(f"applied {name}")
        for name in pending:
            typer.echo(f"pending {name}")
        if not applied and not pending:
            typer.echo("nothing to do: the database is up to date")
    if pending:
        raise typer.Exit(1)


async def _migrate(*, check: bool) -> tuple[list[str], list[str]]:
    from penstock_client.ledger import Ledger, pending_migrations
    from penstock_client.ledger import migrate as apply

    settings = load_settings().model_copy(update={"deadline_s": _DEADLINE_S})
    ledger = await Ledger.connect(settings, max_size=1)
    try:
        async with ledger.pool.acquire() as connection:
            if check:
                return [], await pending_migrations(connection)
            return await apply(connection), []
    finally:
        await ledger.close()
