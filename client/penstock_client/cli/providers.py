"""`penstock providers`: who works, what waits, and what keeps it; and what to do about that."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_client.index_state import LimitState
    from penstock_client.operations import ProviderOverview

Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="As in the catalogue.")]
Credential = Annotated[
    str | None, typer.Option(help="The credential; without --model its own gate.")
]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A model: its breaker, or --credential's access.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]
PLATFORM = "platform"


def register(app: typer.Typer) -> None:
    """Adds `penstock providers` with `list`, `show`, `check` and `restore`."""
    group = typer.Typer(
        invoke_without_command=True,
        rich_markup_mode=None,
        epilog="Example: penstock providers",
    )
    group.callback()(providers)
    group.command("list", epilog="Example: penstock providers list --all")(list_providers)
    group.command("show", epilog="Example: penstock providers show openai")(show)
    group.command("check", epilog="Example: penstock providers check openai --credential platform")(
        check
    )
    group.command("restore", epilog="Example: penstock providers restore openai --model gpt-4o")(
        restore
    )
    app.add_typer(group, name="providers")


def providers(context: typer.Context, json: Json = False) -> None:
    """Show providers: workers, jobs, breakers, credentials, limits and pauses."""
    if context.invoked_subcommand is None:
        list_providers(False, json)


def list_providers(
    every: Annotated[
        bool, typer.Option("--all", help="Those without anything to tell too.")
    ] = False,
    json: Json = False,
) -> None:
    """Show providers: workers, jobs, breakers, credentials, limits and pauses."""
    found = [state for state in run(_overviews()) if every or state.tells]
    if json:
        for state in found:
            print_json(_as_json(state))
        return
    if not found:
        typer.echo("no provider has a worker, a job, a limit or a pause; --all shows the catalogue")
        return
    header = ("PROVIDER", "INDEX", "WORKERS", "JOBS", "RUNNING", "RETRYING", "LIMITS")
    print_table(header, [_as_row(state) for state in found])
    for line in _troubles(found):
        typer.echo(line)


def show(provider: Provider, json: Json = False) -> None:
    """Show one provider: workers, jobs, what keeps them, and each of its limits."""
    found = run(_overview(provider))
    if json:
        print_json(_as_json(found))
        return
    workers = f"{found.workers} worker{'s' if found.workers != 1 else ''}"
    jobs = f"{_shown_jobs(found)} jobs, {found.running:,} running, {found.retrying:,} retrying"
    typer.echo(f"{found.provider}: index {found.index or 'missing'}, {workers}, {jobs}")
    for line in _troubles([found]):
        typer.echo(line)
    if not found.limits:
        typer.echo("no limit is known")
        return
    header = ("SCOPE", "LIMIT", "AMOUNT", "SOURCE", "SHARE", "USED", "WAITING", "REFUSED")
    print_table(header, [_limit_as_row(limit) for limit in found.limits])


def check(provider: Provider, credential: Credential = None, model: ModelName = None) -> None:
    """Let calls try a breaker or credential that is shut at once, instead of when its time comes.

    Exits with 1 when it is not shut.
    """
    gate = _gate(credential, model)
    if not run(_try(provider, gate)):
        _not_shut(provider, gate)
    typer.echo(f"{provider}: {gate} is tried by the next call")


def restore(provider: Provider, credential: Credential = None, model: ModelName = None) -> None:
    """Let everything through a breaker or credential that is shut. Exits with 1 when it is not."""
    gate = _gate(credential, model)
    if not run(_restore(provider, gate)):
        _not_shut(provider, gate)
    typer.echo(f"{provider}: {gate} lets everything through")


def _gate(credential: str | None, model: str | None) -> str:
    if credential and model:
        return f"access:{credential}/{model}"
    return f"model:{model}" if model else f"credential:{credential or PLATFORM}"


def _not_shut(provider: str, gate: str) -> None:
    typer.echo(f"{provider}: {gate} is not shut; see `penstock providers`", err=True)
    raise typer.Exit(1)


async def _overviews() -> list[ProviderOverview]:
    async with connected() as penstock:
        return await penstock.operations.providers()


async def _overview(provider: str) -> ProviderOverview:
    async with connected() as penstock:
        return await penstock.operations.provider(provider)


async def _try(provider: str, gate: str) -> bool:
    async with connected() as penstock:
        return await penstock.operations.try_gate(provider, gate)


async def _restore(provider: str, gate: str) -> bool:
    async with connected() as penstock:
        return await penstock.operations.restore_gate(provider, gate)


def _as_row(state: ProviderOverview) -> tuple[str, ...]:
    slowed = sum(limit.share < 0.995 for limit in state.limits)
    limits = f"{len(state.limits)}" + (f" ({slowed} slowed)" if slowed else "")
    return (
        state.provider,
        state.index or "-",
        str(state.workers),
        _shown_jobs(state),
        f"{state.running:,}",
        f"{state.retrying:,}",
        limits if state.limits else "-",
    )


def _shown_jobs(state: ProviderOverview) -> str:
    from penstock_client.operations import COUNTED_JOBS

    return f"{state.jobs:,}" + ("+" if state.jobs >= COUNTED_JOBS else "")


def _limit_as_row(limit: LimitState) -> tuple[str, ...]:
    from penstock_schemas.limits import limit_word

    refused = f"{limit.refused:,}, last {shown_time(limit.refused_at)}"
    return (
        limit.scope,
        limit_word(limit.unit, limit.window_s),
        f"{limit.amount:,}",
        limit.source,
        f"{limit.share:.0%}",
        "-" if limit.used is None else f"{limit.used:,}",
        f"{limit.waiting:,}",
        refused if limit.refused else "-",
    )


def _troubles(found: list[ProviderOverview]) -> list[str]:
    from penstock_client.gates import recheck

    lines: list[str] = []
    for state in found:
        for scope, reason in state.pauses.items():
            told = f": {reason}" if reason else ""
            lines.append(f"{state.provider}: paused, {scope}{told}; see `penstock pauses`")
        for gate in state.gates:
            what = f"{gate.name} is {gate.state.replace('_', ' ')}"
            since = f" since {shown_time(gate.since)}" if gate.since else ""
            command = recheck(state.provider, gate.name)
            lines.append(
                f"{state.provider}: {what}{since}: {gate.reason or 'no reason kept'}; tried from "
                f"{shown_time(gate.tried_from)}, at once with `{command}`"
            )
        if state.jobs and not state.workers:
            command = f"penstock worker --provider {state.provider}"
            lines.append(f"{state.provider}: jobs wait and no worker is running: `{command}`")
    return lines


def _as_json(state: ProviderOverview) -> dict[str, object]:
    return asdict(state)
