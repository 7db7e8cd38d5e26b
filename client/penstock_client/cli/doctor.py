"""`penstock doctor`: what is ready, what is not, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json
from penstock_client.cli.running import run

if TYPE_CHECKING:
    from penstock_client.cli.checks import Check

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def register(app: typer.Typer) -> None:
    """Adds `penstock doctor`."""
    app.command("doctor", epilog="Example: penstock doctor --json")(doctor)


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check settings, servers, indexes, workers and keys; exits with 1 if anything fails."""
    found = run(_checks())
    failed = sum(check.status == "fail" for check in found)
    if json:
        print_json({"ok": not failed, "checks": [_as_json(check) for check in found]})
    else:
        _print(found)
    if failed:
        raise typer.Exit(1)


async def _checks() -> list[Check]:
    from penstock_client.cli.checks import all_checks

    return await all_checks()


def _print(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        status = typer.style(check.status.ljust(4), fg=_COLOURS[check.status], bold=True)
        typer.echo(f"{status}  {check.name.ljust(width)}  {check.found}")
        if check.remedy:
            typer.echo(f"{' ' * (width + 6)}  -> {check.remedy}")
    counts = {name: sum(check.status == name for check in checks) for name in _COLOURS}
    typer.echo(f"\n{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed")


def _as_json(check: Check) -> dict[str, str | None]:
    return {
        "name": check.name,
        "status": check.status,
        "found": check.found,
        "remedy": check.remedy,
    }
