"""`penstock webhooks`: what deliveries are signed with, and what became of them."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_client.webhooks.rows import Delivery, NewSecret, SecretInfo

GROUP = "webhooks"
_Workspace = Annotated[str, typer.Argument(help="The workspace.")]
_Event = Annotated[str, typer.Argument(help="The event's ID, as `list` shows it.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_KEEP_H = 24.0
_POLL_S = 0.2


class StateName(StrEnum):
    """The public names of a delivery's states."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


def register(app: typer.Typer) -> None:
    """Adds `penstock webhooks secret`, `secrets`, `list`, `show`, `retry` and `test`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock webhooks list acme --state given_up",
    )
    group.command("secret", epilog="Example: penstock webhooks secret acme --rotate")(secret)
    group.command("secrets", epilog="Example: penstock webhooks secrets acme")(secrets)
    group.command("list", epilog="Example: penstock webhooks list acme --state waiting")(
        list_deliveries
    )
    group.command(
        "show", epilog="Example: penstock webhooks show evt_019aa0a400007000800000000000000a"
    )(show)
    group.command(
        "retry", epilog="Example: penstock webhooks retry evt_019aa0a400007000800000000000000a"
    )(retry)
    group.command(
        "test", epilog="Example: penstock webhooks test acme https://example.com/penstock"
    )(try_address)
    app.add_typer(group, name=GROUP, help="Webhooks: signing secrets and deliveries.")


def secret(
    workspace: _Workspace,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make another in place of the one there is.")
    ] = False,
    previous_h: Annotated[
        float,
        typer.Option(
            min=0, max=720, help="Hours that the one before is signed with too; 0 ends it at once."
        ),
    ] = _KEEP_H,
    json: _Json = False,
) -> None:
    """Make a workspace's signing secret and print it: the secret alone on stdout, this once.

    Receivers check with it that a request is Penstock's. Nothing is sent before there is one.
    """
    made = run(_secret(workspace, rotate, previous_h))
    if json:
        print_json({**_secret_json(made.info), "workspace": workspace, "secret": made.secret})
        return
    typer.echo(
        f"secret {made.info.secret_id} of {workspace}; it is not shown again:",
        err=True,
    )
    typer.echo(made.secret)


def secrets(workspace: _Workspace, json: _Json = False) -> None:
    """List the signing secrets in force, without what they are."""
    found = run(_secrets(workspace))
    if json:
        print_json([_secret_json(info) for info in found])
        return
    rows = [
        (
            info.secret_id,
            shown_time(info.created_at),
            shown_time(info.expires_at),
            info.problem or "-",
        )
        for info in found
    ]
    print_table(("SECRET", "SINCE (UTC)", "UNTIL (UTC)", "PROBLEM"), rows)


def list_deliveries(  # noqa: PLR0917 - options of a command
    workspace: _Workspace,
    state: Annotated[
        StateName | None, typer.Option(help="Only those that stand like this.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only those of this job, run or backfill.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Older than this event: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")] = 50,
    json: _Json = False,
) -> None:
    """List a workspace's deliveries of the last 30 days, newest first, and why any of them wait."""
    found = run(_list(workspace, state, subject, before, limit))
    if json:
        print_json([as_json(one) for one in found])
        return
    rows = [
        (
            one.event_id,
            one.type,
            one.subject,
            str(one.sequence),
            standing(one),
            str(one.attempts),
            shown_time(one.next_at),
            why(one) or "-",
        )
        for one in found
    ]
    header = ("EVENT", "TYPE", "OF", "NO", "STATE", "ATTEMPTS", "NEXT (UTC)", "WHY")
    print_table(header, rows)


def show(event_id: _Event, json: _Json = False) -> None:
    """Show one delivery: where it goes, how its attempts went, and what is sent."""
    _print_one(run(_get(event_id)), json=json)


def retry(event_id: _Event, json: _Json = False) -> None:
    """Send a delivery again now: one that waits, was given up, or was delivered."""
    _print_one(run(_retry(event_id)), json=json)


def try_address(
    workspace: _Workspace,
    url: Annotated[str, typer.Argument(help="The address to send a test event to.")],
    timeout_s: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to wait for its first attempt.")
    ] = 15.0,
    json: _Json = False,
) -> None:
    """Send an event `webhook.test` to an address; exits with 1 unless it is delivered in time."""
    found = run(_test(workspace, url, timeout_s))
    _print_one(found, json=json)
    if found.state.label != StateName.DELIVERED:
        raise typer.Exit(1)


def standing(one: Delivery) -> str:
    """A delivery's state in a word or two."""
    return "being sent" if one.sending else one.state.label


def why(one: Delivery) -> str | None:
    """What a delivery waits for, or why it was not taken."""
    return one.waits_for or (None if one.state.label == StateName.DELIVERED else one.last_error)


def as_json(one: Delivery) -> dict[str, object]:
    """A delivery for programs."""
    from dataclasses import asdict

    return {**asdict(one), "state": one.state.label}


def _print_one(one: Delivery, *, json: bool) -> None:
    if json:
        print_json(as_json(one))
        return
    answer = "-" if one.last_status is None else f"HTTP {one.last_status}"
    told = {
        "event": one.event_id,
        "type": one.type,
        "of": f"{one.subject} (its event {one.sequence})",
        "to": one.url,
        "state": standing(one),
        "why": why(one),
        "attempts": f"{one.attempts}, the last {shown_time(one.last_attempt_at)} UTC: {answer}",
        "next": f"{shown_time(one.next_at)} UTC" if one.next_at else None,
        "payload": one.payload,
    }
    for name, value in told.items():
        if value is not None:
            typer.echo(f"{name.ljust(8)}  {value}")


def _secret_json(info: SecretInfo) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(info)


async def _secret(workspace: str, rotate: bool, previous_h: float) -> NewSecret:
    async with connected() as penstock:
        return await penstock.webhooks.make_secret(
            workspace, rotate=rotate, keep_previous_h=previous_h
        )


async def _secrets(workspace: str) -> list[SecretInfo]:
    async with connected() as penstock:
        return await penstock.webhooks.secrets(workspace)


async def _list(
    workspace: str, state: StateName | None, subject: str | None, before: str | None, limit: int
) -> list[Delivery]:
    from penstock_schemas.webhooks import DeliveryState

    wanted = None if state is None else DeliveryState.parse(state.value)
    async with connected() as penstock:
        return await penstock.webhooks.list(
            workspace, state=wanted, subject=subject, before=before, limit=limit
        )


async def _get(event_id: str) -> Delivery:
    async with connected() as penstock:
        return await penstock.webhooks.get(event_id)


async def _retry(event_id: str) -> Delivery:
    async with connected() as penstock:
        return await penstock.webhooks.retry(event_id)


async def _test(workspace: str, url: str, timeout_s: float) -> Delivery:
    """The delivery after its first attempt, or as it stands when the time is over."""
    async with connected() as penstock:
        found = await penstock.webhooks.test(workspace, url)
        until = asyncio.get_running_loop().time() + timeout_s
        while not found.attempts and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_POLL_S)
            found = await penstock.webhooks.get(found.event_id)
        return found
