"""`penstock pause`, `penstock resume` and `penstock pauses`: what must not start for now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, fail, run

if TYPE_CHECKING:
    from penstock_client.ledger import Pause
    from penstock_schemas.limits import PauseTarget

_Provider = Annotated[str | None, typer.Option(help="At this provider; else at every one.")]
_Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="Jobs of this workspace.")
]
_Lane = Annotated[
    str | None, typer.Option(help="Jobs of this lane: interactive, bulk or background.")
]
_Model = Annotated[str | None, typer.Option(help="Jobs for this model.")]
_Tag = Annotated[str | None, typer.Option(help="Jobs with this limit tag.")]


def register(app: typer.Typer) -> None:
    """Adds `penstock pause`, `penstock resume` and `penstock pauses`."""
    app.command(
        "pause", epilog="Example: penstock pause --provider openai --reason 'invoice in dispute'"
    )(pause)
    app.command("resume", epilog="Example: penstock resume --provider openai")(resume)
    app.command("pauses", epilog="Example: penstock pauses --json")(list_pauses)


def pause(  # noqa: PLR0917 - options of a command
    provider: _Provider = None,
    workspace: _Workspace = None,
    lane: _Lane = None,
    model: _Model = None,
    tag: _Tag = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs everywhere.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; people will see it.")] = "",
) -> None:
    """Start no more jobs of a provider, workspace, lane, model or tag until they are resumed.

    Calls that run go on, new jobs are accepted and wait. In force within about a second.
    """
    named = {"workspace": workspace, "lane": lane, "model": model, "tag": tag}
    target = run(_pause(_Asked(provider, named, everything=everything), reason))
    typer.echo(f"paused {target.shown}; calls that run go on")


def resume(  # noqa: PLR0917 - options of a command
    provider: _Provider = None,
    workspace: _Workspace = None,
    lane: _Lane = None,
    model: _Model = None,
    tag: _Tag = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The pause of everything; others stay.")
    ] = False,
) -> None:
    """Lift the pause that was made with the same options; exits with 1 if there is none."""
    named = {"workspace": workspace, "lane": lane, "model": model, "tag": tag}
    target, lifted, left = run(_resume(_Asked(provider, named, everything=everything)))
    still = ", ".join(each.target.shown for each in left)
    if not lifted:
        raise fail(f"{target.shown} is not paused; paused: {still or 'nothing'}")
    typer.echo(f"resumed {target.shown}" + (f"; still paused: {still}" if still else ""))


def list_pauses(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what is paused, the oldest first."""
    found = run(_list())
    if json:
        print_json([_as_json(each) for each in found])
        return
    rows = [(each.target.shown, shown_time(each.since), each.reason or "-") for each in found]
    print_table(("PAUSED", "SINCE (UTC)", "REASON"), rows)


class _Asked:
    """The options that say what to pause."""

    def __init__(
        self, provider: str | None, named: dict[str, str | None], *, everything: bool
    ) -> None:
        self.provider = provider
        self.named = named
        given = provider is not None or any(name is not None for name in named.values())
        if given == everything:
            raise typer.BadParameter(
                "say what: --provider, --workspace, --lane, --model, --tag, or --all alone"
            )

    def target(self, providers: frozenset[str]) -> PauseTarget:
        """What they name. A model as `provider/model` names its provider too."""
        from penstock_schemas.limits import pause_target

        provider, model = self.provider, self.named["model"]
        if model is not None:
            first, _, rest = model.partition("/")
            if rest and first in ({provider} if provider else providers):
                provider, model = first, rest
        return pause_target(provider=provider, **{**self.named, "model": model})


async def _pause(asked: _Asked, reason: str) -> PauseTarget:
    async with connected() as penstock:
        if asked.provider is not None:
            penstock.catalog.provider(asked.provider)
        target = asked.target(frozenset(row.name for row in penstock.catalog.providers))
        if workspace := asked.named["workspace"]:
            await penstock.workspaces.get(workspace)
        await penstock.ledger.steering.pause(target, reason=reason)
        return target


async def _resume(asked: _Asked) -> tuple[PauseTarget, bool, list[Pause]]:
    async with connected() as penstock:
        target = asked.target(frozenset(row.name for row in penstock.catalog.providers))
        lifted = await penstock.ledger.steering.resume(target)
        return target, lifted, await penstock.ledger.steering.pauses()


async def _list() -> list[Pause]:
    async with connected() as penstock:
        return await penstock.ledger.steering.pauses()


def _as_json(pause: Pause) -> dict[str, object]:
    return {
        "provider": pause.target.provider,
        "scope": pause.target.scope,
        "reason": pause.reason,
        "since": pause.since,
    }
