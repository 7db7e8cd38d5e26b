"""`penstock limits`: list, set and unset what a provider's limits are held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock_client.cli.printing import print_json, print_table, shown_seconds
from penstock_client.cli.running import connected, fail, run

if TYPE_CHECKING:
    from penstock_client.client import Penstock
    from penstock_client.index_state import LimitState
    from penstock_schemas.limits import LimitSetting, LimitUnit

#: Refusals are of interest for so many seconds.
_LATELY_S = 3600.0
_HEADER = (
    *("PROVIDER", "SCOPE", "LIMIT", "AMOUNT", "SOURCE"),
    *("SHARE", "USED", "WAITING", "REFUSED", "NOTE"),
)

_Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose limits.")]
_Credential = Annotated[str | None, typer.Option(help="Calls with this credential.")]
_Group = Annotated[str | None, typer.Option(help="Models that share limits: CREDENTIAL/GROUP.")]
_Model = Annotated[str | None, typer.Option(help="Calls to this model.")]
_Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Jobs of this workspace.")
]
_Tag = Annotated[str | None, typer.Option(help="Jobs with this limit tag.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Adds `penstock limits list`, `penstock limits set` and `penstock limits unset`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock limits set openai --requests 500 --tokens 200000",
    )
    group.command("list", epilog="Example: penstock limits list --provider openai")(list_limits)
    group.command(
        "set", epilog="Example: penstock limits set openai --workspace acme --concurrency 10"
    )(set_limits)
    group.command("unset", epilog="Example: penstock limits unset openai --workspace acme")(
        unset_limits
    )
    app.add_typer(group, name="limits", help="List, set and unset limits of providers.")


def list_limits(
    provider: Annotated[str | None, typer.Option(help="Those of this provider only.")] = None,
    json: _Json = False,
) -> None:
    """List limits: set here or by the configuration file, learned from headers, or found by
    refusals.

    SHARE is how much of a limit is used: it falls when the provider refuses, and rises again.
    WAITING counts the queues that the limit keeps, REFUSED the refusals where one was in the last
    hour.
    """
    lines = run(_listed(provider))
    if json:
        print_json([_as_json(line) for line in lines])
        return
    now = datetime.now(UTC)
    print_table(_HEADER, [_as_row(line, now) for line in lines])


def set_limits(  # noqa: PLR0917 - options of a command
    provider: _Provider,
    requests: Annotated[int | None, typer.Option(min=1, metavar="N", help="Calls.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens, as the provider counts them.")
    ] = None,
    input_tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="Tokens in.")] = None,
    output_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens out.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Calls at the same time.")
    ] = None,
    per: Annotated[
        Literal["minute", "day"], typer.Option(help="The window of all but concurrency.")
    ] = "minute",
    credential: _Credential = None,
    group: _Group = None,
    model: _Model = None,
    workspace: _Workspace = None,
    tag: _Tag = None,
) -> None:
    """Set limits of a provider as a whole, or of what one option names.

    '*' as a name stands for each that has no limit of its own. A limit that is set already takes
    the new amount; others stay. In force within about a second.
    """
    from penstock_schemas.limits import limit_scope, limit_setting

    amounts = {
        f"requests/{per}": requests,
        f"tokens/{per}": tokens,
        f"input-tokens/{per}": input_tokens,
        f"output-tokens/{per}": output_tokens,
        "concurrency": concurrency,
    }
    scope = limit_scope(
        credential=credential,
        group=group,
        model=None if model is None else model.removeprefix(f"{provider}/"),
        workspace=workspace,
        tag=tag,
    )
    settings = [
        limit_setting(provider, scope, word, amount)
        for word, amount in amounts.items()
        if amount is not None
    ]
    if not settings:
        raise typer.BadParameter("give at least one amount, such as --requests 500")
    run(_set(settings, workspace))
    for setting in settings:
        typer.echo(f"{provider}, {scope}: {setting.word} {setting.amount:,}")


def unset_limits(  # noqa: PLR0917 - options of a command
    provider: _Provider,
    requests: Annotated[bool, typer.Option("--requests", help="Those in calls.")] = False,
    tokens: Annotated[bool, typer.Option("--tokens", help="Those in tokens.")] = False,
    input_tokens: Annotated[
        bool, typer.Option("--input-tokens", help="Those in tokens in.")
    ] = False,
    output_tokens: Annotated[
        bool, typer.Option("--output-tokens", help="Those in tokens out.")
    ] = False,
    concurrency: Annotated[
        bool, typer.Option("--concurrency", help="Calls at the same time.")
    ] = False,
    per: Annotated[
        Literal["minute", "day"] | None, typer.Option(help="Those of this window only.")
    ] = None,
    credential: _Credential = None,
    group: _Group = None,
    model: _Model = None,
    workspace: _Workspace = None,
    tag: _Tag = None,
) -> None:
    """Lift the limits that were set for a provider as a whole, or for what one option names.

    Without units all of them. Those of the configuration file, or learned ones, hold again.
    """
    from penstock_schemas.limits import WINDOW_S, limit_scope

    scope = limit_scope(
        credential=credential,
        group=group,
        model=None if model is None else model.removeprefix(f"{provider}/"),
        workspace=workspace,
        tag=tag,
    )
    named: dict[LimitUnit, bool] = {
        "requests": requests,
        "tokens": tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "concurrency": concurrency,
    }
    units: list[LimitUnit] = [unit for unit, wanted in named.items() if wanted]
    windows_s = None if per is None else [WINDOW_S[per]]
    lifted = run(_unset(provider, scope, units=units or None, windows_s=windows_s))
    if not lifted:
        raise fail(f"{provider}, {scope}: no such limit is set; see `penstock limits list`")
    for setting in lifted:
        typer.echo(f"{provider}, {scope}: {setting.word} lifted")


async def _set(settings: list[LimitSetting], workspace: str | None) -> None:
    from penstock_schemas.limits import EACH

    async with connected() as penstock:
        penstock.catalog.provider(settings[0].provider)
        if workspace is not None and workspace != EACH:
            await penstock.workspaces.get(workspace)
        await penstock.ledger.steering.set_limits(settings)


async def _unset(
    provider: str, scope: str, *, units: list[LimitUnit] | None, windows_s: list[int] | None
) -> list[LimitSetting]:
    async with connected() as penstock:
        return await penstock.ledger.steering.unset_limits(
            provider, scope, units=units, windows_s=windows_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One limit: as it is set, or else as the index holds it; what the index says of it."""

    limit: LimitSetting | LimitState
    state: LimitState | None
    source: str

    @property
    def in_force(self) -> bool:
        return self.state is not None and self.state.amount == self.limit.amount


_Place = tuple[str, str, str, int]


async def _listed(provider: str | None) -> list[_Line]:
    """What is set and what the indexes hold, each limit once."""
    from penstock_client.catalogue import read_configuration

    async with connected() as penstock:
        file = read_configuration(penstock.settings)
        in_file = {limit.place: limit for limit in (file.configuration.limits if file else ())}
        in_table = {limit.place: limit for limit in await penstock.ledger.steering.limits()}
        names = {row.name for row in penstock.catalog.providers}
        names |= {place[0] for place in (*in_file, *in_table)}
        states = await _states(penstock, names if provider is None else {provider})
    lines = _lines(in_file, in_table, states)
    return [line for line in lines if provider in {None, line.limit.provider}]


def _lines(
    in_file: Mapping[_Place, LimitSetting],
    in_table: Mapping[_Place, LimitSetting],
    states: Mapping[_Place, LimitState],
) -> list[_Line]:
    lines: list[_Line] = []
    for place in sorted({*in_file, *in_table, *states}):
        state = states.get(place)
        if (setting := in_table.get(place)) is not None:
            lines.append(_Line(limit=setting, state=state, source="set"))
        elif (setting := in_file.get(place)) is not None:
            lines.append(_Line(limit=setting, state=state, source="file"))
        elif state is not None:
            lines.append(_Line(limit=state, state=state, source=state.source))
    return lines


async def _states(penstock: Penstock, providers: Iterable[str]) -> dict[_Place, LimitState]:
    from penstock_client.connections import close_redis, redis_pool
    from penstock_client.index_state import read_limits

    redis = redis_pool(penstock.settings)
    try:
        return {state.place: state for state in await read_limits(redis, sorted(providers))}
    finally:
        await close_redis(redis)


def _as_row(line: _Line, now: datetime) -> tuple[str, ...]:
    from penstock_schemas.limits import limit_word

    limit, state = line.limit, line.state
    word = limit_word(limit.unit, limit.window_s)
    head = (limit.provider, limit.scope, word, f"{limit.amount:,}", line.source)
    note = "-" if line.in_force else "not in force yet"
    if state is None:
        return (*head, "-", "-", "-", "-", note)
    used = "-" if state.used is None else f"{state.used:,}"
    return (*head, f"{state.share:.0%}", used, f"{state.waiting:,}", _refusals(state, now), note)


def _refusals(state: LimitState, now: datetime) -> str:
    if state.refused_at is None:
        return "-"
    ago_s = max(0.0, (now - state.refused_at).total_seconds())
    return "-" if ago_s > _LATELY_S else f"{state.refused:,} (last {shown_seconds(ago_s)} ago)"


def _as_json(line: _Line) -> dict[str, object]:
    limit, state = line.limit, line.state
    return {
        "provider": limit.provider,
        "scope": limit.scope,
        "unit": limit.unit,
        "window_s": limit.window_s,
        "amount": limit.amount,
        "source": line.source,
        "in_force": line.in_force,
        "share": state and state.share,
        "used": state and state.used,
        "waiting": state and state.waiting,
        "refused": state and state.refused,
        "refused_at": state and state.refused_at,
    }
