"""`penstock workspace token`: API tokens, of one workspace or of an administrator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_client.tokens import NewToken, TokenInfo

_ALL = "all workspaces"
_Workspace = Annotated[
    str | None, typer.Argument(help="The workspace; none with --admin.", show_default=False)
]
_Admin = Annotated[
    bool,
    typer.Option("--admin", help="Of all workspaces: may do everything, unless --scope says less."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(group: typer.Typer) -> None:
    """Adds `create`, `list` and `revoke` under `penstock workspace token`."""
    sub = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock workspace token create acme --name crawler",
    )
    sub.command(
        "create",
        epilog="Example: penstock workspace token create acme --scope jobs:read --scope jobs:write",
    )(create)
    sub.command("list", epilog="Example: penstock workspace token list acme --json")(list_tokens)
    sub.command("revoke", epilog="Example: penstock workspace token revoke 5b0c8b8f2a6e4d11")(
        revoke
    )
    group.add_typer(sub, name="token", help="Tokens for the HTTP API.")


def create(  # noqa: PLR0917 - options of a command
    workspace: _Workspace = None,
    admin: _Admin = False,
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="jobs:read, jobs:write, config:read, …; default: all of its workspace."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="It ends after so many days.")
    ] = None,
    json: _Json = False,
) -> None:
    """Make a token and print it: the token alone on stdout, this once.

    The first one for administrators is made here too: `penstock workspace token create --admin`.
    """
    _one_of(workspace, admin)
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    made = run(_create(workspace, name, scope, expires_at))
    if json:
        print_json({**_as_json(made.info), "token": made.secret})
        return
    info = made.info
    ends = f", until {shown_time(info.expires_at)} UTC" if info.expires_at else ""
    told = f"token {info.token_id} of {info.workspace or _ALL} may {', '.join(info.scopes)}{ends}"
    typer.echo(f"{told}; it is not shown again:", err=True)
    typer.echo(made.secret)


def list_tokens(workspace: _Workspace = None, admin: _Admin = False, json: _Json = False) -> None:
    """List tokens: a workspace's, administrators' with --admin, or all. Never their secrets."""
    found = run(_list(workspace, everybody=not admin))
    if json:
        print_json([_as_json(info) for info in found])
        return
    rows = [
        (
            info.token_id,
            info.workspace or _ALL,
            info.name,
            ", ".join(info.scopes),
            shown_time(info.last_used_at),
            _state(info),
        )
        for info in found
    ]
    print_table(("TOKEN", "WORKSPACE", "NAME", "MAY", "LAST USED (UTC)", "STATE"), rows)


def revoke(token_id: Annotated[str, typer.Argument(help="As `list` shows it.")]) -> None:
    """End a token: within seconds it is refused everywhere."""
    info = run(_revoke(token_id))
    typer.echo(f"token {info.token_id} of {info.workspace or _ALL} is revoked")


def _one_of(workspace: str | None, admin: bool) -> None:
    if (workspace is None) is not admin:
        raise typer.BadParameter("name a workspace, or give --admin")


def _state(info: TokenInfo) -> str:
    if info.revoked_at is not None:
        return "revoked"
    if info.expires_at is None:
        return "in force"
    ended = info.expires_at <= datetime.now(UTC)
    return "expired" if ended else f"until {shown_time(info.expires_at)}"


def _as_json(info: TokenInfo) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(info)


async def _create(
    workspace: str | None, name: str, scopes: list[str] | None, expires_at: datetime | None
) -> NewToken:
    async with connected() as penstock:
        return await penstock.tokens.create(
            name, workspace=workspace, scopes=scopes, expires_at=expires_at
        )


async def _list(workspace: str | None, *, everybody: bool) -> list[TokenInfo]:
    async with connected() as penstock:
        if workspace is not None:
            await penstock.workspaces.get(workspace)
            return await penstock.tokens.list(workspace)
        return await penstock.tokens.list(everybody=everybody)


async def _revoke(token_id: str) -> TokenInfo:
    async with connected() as penstock:
        return await penstock.tokens.revoke(token_id)
