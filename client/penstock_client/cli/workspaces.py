"""`penstock workspace`: create, show, change and list workspaces."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli import configurations, tokens, workspace_shown
from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, fail, run

if TYPE_CHECKING:
    from penstock_client.ledger import WorkspaceConfig

_DEFAULT_TOKENS = "50000"
_UNLIMITED, _FOR_EVER = "unlimited", "for-ever"


class Mode(StrEnum):
    """How much a budget reserves for a call."""

    SOFT = "soft"
    HARD = "hard"


class OnBudget(StrEnum):
    """What becomes of jobs once a budget is used up."""

    FAIL = "fail"
    WAIT = "wait"


def register(app: typer.Typer) -> None:
    """Adds `penstock workspace` with its subcommands."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock workspace create acme --monthly-tokens unlimited",
    )
    group.command(
        "create", epilog="Example: penstock workspace create acme --monthly-tokens 2000000"
    )(create)
    group.command("show", epilog="Example: penstock workspace show acme")(show)
    group.command(
        "set", epilog="Example: penstock workspace set acme --budget-mode hard --keep-days 30"
    )(change)
    group.command("route", epilog="Example: penstock workspace route acme reason openai/gpt-4o")(
        route
    )
    group.command("list", epilog="Example: penstock workspace list --json")(list_workspaces)
    configurations.register(group)
    tokens.register(group)
    app.add_typer(group, name="workspace", help="Create, change, show and list workspaces.")


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


def change(  # noqa: PLR0917 - options of a command  # noqa: PLR0917 - options of a command
    name: Annotated[str, typer.Argument(help="The workspace.")],
    weight: Annotated[
        float | None, typer.Option(help="Its share of each provider beside others' 1.")
    ] = None,
    monthly_tokens: Annotated[
        str | None, typer.Option(metavar="N|unlimited", help="Tokens that it may use in a month.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Where its days and months end, such as Europe/Berlin.")
    ] = None,
    budget_mode: Annotated[
        Mode | None, typer.Option(help="What calls reserve: the likely use, or the most possible.")
    ] = None,
    on_budget: Annotated[
        OnBudget | None, typer.Option(help="What jobs do once a budget is used up.")
    ] = None,
    keep_days: Annotated[
        str | None,
        typer.Option(metavar="N|for-ever", help="How long prompts and answers are kept."),
    ] = None,
    default_configuration: Annotated[
        str | None, typer.Option(help="The configuration of jobs that name none.")
    ] = None,
    enable: Annotated[
        list[str] | None, typer.Option(metavar="PROVIDER", help="Let its jobs go to a provider.")
    ] = None,
    disable: Annotated[
        list[str] | None, typer.Option(metavar="PROVIDER", help="Keep its jobs from a provider.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Change a workspace; what is not given stays. In force at once, everywhere.

    While workspaces wait at a provider, one of weight 3 gets three times the tokens of one of
    weight 1.
    """
    fields: dict[str, Any] = {
        "weight": weight,
        "time_zone": time_zone,
        "budget_mode": budget_mode and budget_mode.value,
        "on_budget": on_budget and on_budget.value,
        "default_configuration": default_configuration,
        "providers": {**dict.fromkeys(enable or (), True), **dict.fromkeys(disable or (), False)},
    }
    fields = {field: value for field, value in fields.items() if value not in (None, {})}
    if monthly_tokens is not None:
        fields["monthly_tokens"] = _budget(monthly_tokens)
    if keep_days is not None:
        fields["retention_days"] = _days(keep_days)
    if not fields:
        raise typer.BadParameter("give at least one option; see --help")
    config = run(_change(name, fields))
    if json:
        print_json(workspace_shown.as_json(config))
    else:
        workspace_shown.print_config(config)


def route(
    name: Annotated[str, typer.Argument(help="The workspace.")],
    capability: Annotated[str, typer.Argument(help="extract, classify, reason, generate, …")],
    models: Annotated[
        list[str] | None, typer.Argument(help="provider/model, best first; none: the default.")
    ] = None,
) -> None:
    """Set the models of a capability, or take them out again. In force at once, everywhere."""
    chosen = tuple(models or ()) or None
    notes = run(_route(name, capability, chosen))
    where = ", then ".join(chosen) if chosen else "the default routing"
    typer.echo(f"workspace {name}: {capability} goes to {where}")
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def show(
    name: Annotated[str, typer.Argument(help="The workspace.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a workspace: budgets with what is used and held, routing, configurations, keys."""
    config = run(_show(name))
    if json:
        print_json(workspace_shown.as_json(config))
    else:
        workspace_shown.print_config(config)


def list_workspaces(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List workspaces with their token budget and what they have used of it."""
    found = run(_list())
    if json:
        print_json([workspace_shown.as_json(config) for config in found])
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
    if text == _UNLIMITED:
        return None
    cleaned = text.replace("_", "").replace(",", "")
    if not (cleaned.isascii() and cleaned.isdigit() and int(cleaned) < 2**63):
        raise typer.BadParameter(
            f"{text!r} is neither a number of tokens nor 'unlimited'",
            param_hint="'--monthly-tokens'",
        )
    return int(cleaned)


def _days(text: str) -> int | None:
    if text == _FOR_EVER:
        return None
    if not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(
            f"{text!r} is neither a number of days nor 'for-ever'", param_hint="'--keep-days'"
        )
    return int(text)


def _shown_budget(budget: int | None) -> str:
    return "no token budget" if budget is None else f"{budget:,} tokens a month"


async def _create(name: str, budget: int | None) -> bool:
    async with connected() as penstock:
        return await penstock.workspaces.create(name, monthly_tokens=budget)


async def _change(name: str, fields: dict[str, Any]) -> WorkspaceConfig:
    async with connected() as penstock:
        return await penstock.workspaces.set(name, **fields)


async def _route(name: str, capability: str, models: tuple[str, ...] | None) -> list[str]:
    """Set a route; returns what is accepted and may be a slip."""
    from difflib import get_close_matches
    from typing import get_args

    from penstock_client.remote.client import NeedsServers
    from penstock_schemas.jobs import JobType

    notes: list[str] = []
    meant = get_close_matches(capability, get_args(JobType), n=1, cutoff=0.75)
    if meant and capability not in get_args(JobType):
        notes.append(f"{capability} is a capability of its own; did you mean {meant[0]}?")
    async with connected() as penstock:
        await penstock.workspaces.set(name, routing={capability: models})
        try:
            listed = {model.ref for model in penstock.catalog.models}
            used = [penstock.catalog.normalise(model) for model in models or ()]
        except NeedsServers:
            return notes
    return [
        *notes,
        *(
            f"{model} is not in the catalogue: it is sent as it is, and its cost is unknown"
            for model in used
            if model not in listed
        ),
    ]


async def _show(name: str) -> WorkspaceConfig:
    async with connected() as penstock:
        return await penstock.workspaces.read(name)


async def _list() -> list[WorkspaceConfig]:
    async with connected() as penstock:
        return await penstock.workspaces.list()
