"""`penstock workspace`: create, change and list workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, fail, run

if TYPE_CHECKING:
    from penstock_client.ledger import WorkspaceConfig

_DEFAULT_TOKENS = "50000"


def register(app: typer.Typer) -> None:
    """Adds `penstock workspace create`, `penstock workspace set` and `penstock workspace list`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock workspace create acme --monthly-tokens unlimited",
    )
    group.command(
        "create", epilog="Example: penstock workspace create acme --monthly-tokens 2000000"
    )(create)
    group.command("set", epilog="Example: penstock workspace set acme --weight 3")(change)
    group.command("list", epilog="Example: penstock workspace list --json")(list_workspaces)
    app.add_typer(group, name="workspace", help="Create, change and list workspaces.")


def create(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits, '.', '_' and '-'.")],
    monthly_tokens: Annotated[
        str, typer.Option(metavar="N|unlimited", help="Tokens that it may use in a month.")
    ] = _DEFAULT_TOKENS,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create a workspace with the default routing; exits with 1 if it exists already."""
    budget = _budget(monthly_tokens)
    if not run(_create(name, budget)):
        raise fail(f"workspace {name!r} already exists; its budget was not changed")
    if json:
        print_json({"workspace": name, "monthly_tokens": budget})
    else:
        typer.echo(f"created workspace {name} with {_shown_budget(budget)}")


def change(
    name: Annotated[str, typer.Argument(help="The workspace.")],
    weight: Annotated[
        float | None, typer.Option(help="Its share of each provider beside others' 1.")
    ] = None,
    monthly_tokens: Annotated[
        str | None, typer.Option(metavar="N|unlimited", help="Tokens that it may use in a month.")
    ] = None,
) -> None:
    """Change a workspace's share of providers, or its budget; what is not given stays.

    While workspaces wait at a provider, one of weight 3 gets three times the tokens of one of
    weight 1. In force within about a second.
    """
    budget = None if monthly_tokens is None else (_budget(monthly_tokens),)
    if weight is None and budget is None:
        raise typer.BadParameter("give --weight or --monthly-tokens")
    run(_change(name, weight, budget))
    said = [] if weight is None else [f"weight {weight:g}"]
    said += [] if budget is None else [_shown_budget(budget[0])]
    typer.echo(f"workspace {name} has {', '.join(said)}")


def list_workspaces(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List workspaces with their budget, what they have used of it, and their routing."""
    found = run(_list())
    if json:
        print_json([_as_json(config) for config in found])
        return
    rows = [
        (
            config.workspace,
            "unlimited" if config.monthly_tokens is None else f"{config.monthly_tokens:,}",
            f"{config.tokens_used:,}",
            f"{config.weight:g}",
            shown_time(config.budget_resets_at),
            shown_time(config.created_at),
        )
        for config in found
    ]
    print_table(
        ("WORKSPACE", "TOKENS A MONTH", "USED", "WEIGHT", "RESETS (UTC)", "CREATED (UTC)"), rows
    )


def _budget(text: str) -> int | None:
    if text == "unlimited":
        return None
    cleaned = text.replace("_", "").replace(",", "")
    if not (cleaned.isascii() and cleaned.isdigit() and int(cleaned) < 2**63):
        raise typer.BadParameter(
            f"{text!r} is neither a number of tokens nor 'unlimited'",
            param_hint="'--monthly-tokens'",
        )
    return int(cleaned)


def _shown_budget(budget: int | None) -> str:
    return "no token budget" if budget is None else f"{budget:,} tokens a month"


def _as_json(config: WorkspaceConfig) -> dict[str, object]:
    return {
        "workspace": config.workspace,
        "monthly_tokens": config.monthly_tokens,
        "tokens_used": config.tokens_used,
        "weight": config.weight,
        "budget_resets_at": config.budget_resets_at,
        "routing": {name: list(routes) for name, routes in config.routing.items()},
        "created_at": config.created_at,
    }


async def _create(name: str, budget: int | None) -> bool:
    async with connected() as penstock:
        return await penstock.workspaces.create(name, monthly_tokens=budget)


async def _change(name: str, weight: float | None, budget: tuple[int | None] | None) -> None:
    async with connected() as penstock:
        await penstock.workspaces.set(name, weight=weight, budget=budget)


async def _list() -> list[WorkspaceConfig]:
    async with connected() as penstock:
        return await penstock.workspaces.list()
