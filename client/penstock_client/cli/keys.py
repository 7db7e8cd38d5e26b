"""`penstock keys`: workspaces' own keys for providers. None is ever an argument, or shown."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock_client.provider_keys import KeyInfo, SealingKey

GROUP = "keys"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Workspace = Annotated[str, typer.Argument(help="The workspace.")]
_Provider = Annotated[str, typer.Argument(help="The provider, as in the catalogue.")]
_Timeout = Annotated[
    float, typer.Option("--timeout-s", min=1, max=600, help="Seconds to wait for the test.")
]
_TEST_S = 30.0


def register(app: typer.Typer) -> None:
    """Adds `penstock keys set`, `list`, `test`, `remove`, `status` and `forget`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock keys set acme openai",
    )
    group.command("set", epilog="Example: penstock keys set acme openai --from-env ACME_KEY")(
        set_key
    )
    group.command("list", epilog="Example: penstock keys list acme --json")(list_keys)
    group.command("test", epilog="Example: penstock keys test acme openai")(try_key)
    group.command("remove", epilog="Example: penstock keys remove acme openai")(remove)
    group.command("status", epilog="Example: penstock keys status")(status)
    group.command("forget", epilog="Example: penstock keys forget seal-8a1f0c77d2e4b6a9 --yes")(
        forget
    )
    app.add_typer(group, name=GROUP, help="Workspaces' own keys for providers.")


def set_key(  # noqa: PLR0917 - options of a command
    workspace: _Workspace,
    provider: _Provider,
    from_env: Annotated[
        str | None,
        typer.Option("--from-env", metavar="VARIABLE", help="Read the key from this variable."),
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Try the key with one tiny call.")
    ] = True,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Store it even if it does not work.")
    ] = False,
    timeout_s: _Timeout = _TEST_S,
    json: Json = False,
) -> None:
    """Store a workspace's key for a provider; calls of that workspace use it within a second.

    The key is read from stdin, or asked for without showing it. It is sealed here, tried by a
    worker with the cheapest real call, and stored only when it works; else this exits with 1.
    """
    api_key = _read_key(provider, from_env)
    found = run(_set(workspace, provider, api_key, validate, anyway, timeout_s))
    if json:
        print_json(_as_json(found))
        return
    typer.echo(f"workspace {workspace} uses {found.fingerprint} at {provider}: {_shown(found)}")


def list_keys(workspace: _Workspace, json: Json = False) -> None:
    """List a workspace's keys: by fingerprint, whether each works, and since when that is known."""
    found = run(_list(workspace))
    if json:
        print_json([_as_json(info) for info in found])
        return
    rows = [
        (info.provider, info.fingerprint, _shown(info), shown_time(info.tested_at))
        for info in found
    ]
    print_table(("PROVIDER", "KEY", "WORKS", "TESTED (UTC)"), rows)


def try_key(
    workspace: _Workspace, provider: _Provider, timeout_s: _Timeout = _TEST_S, json: Json = False
) -> None:
    """Try a workspace's stored key with the cheapest real call; exits with 1 when it is refused."""
    found = run(_test(workspace, provider, timeout_s))
    if json:
        print_json(_as_json(found))
    else:
        typer.echo(f"{found.fingerprint} at {provider}: {_shown(found)}")
    if not found.works:
        raise typer.Exit(1)


def remove(workspace: _Workspace, provider: _Provider) -> None:
    """Forget a workspace's key; its calls use the platform's. Exits with 1 if there is none."""
    if not run(_remove(workspace, provider)):
        typer.echo(f"error: workspace {workspace} has no key for {provider}", err=True)
        raise typer.Exit(1)
    typer.echo(f"workspace {workspace} uses the platform's key at {provider}")


def status(json: Json = False) -> None:
    """Show what workers' public keys there are, and how many stored keys are sealed to each.

    A private key that nothing is sealed to any more can go: `penstock keys rotate --prune`.
    """
    found = run(_status())
    if json:
        print_json([_sealing_as_json(key, in_use=not at) for at, key in enumerate(found)])
        return
    rows = [
        (key.id, "yes" if not at else "no", f"{key.sealed:,}", shown_time(key.created_at))
        for at, key in enumerate(found)
    ]
    print_table(("SEALING KEY", "IN USE", "SECRETS SEALED TO IT", "SINCE (UTC)"), rows)


def forget(
    sealing_key: Annotated[str, typer.Argument(help="As `penstock keys status` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget a public key whose private key is lost, and all stored keys that are sealed to it.

    Nobody can open those any more: their workspaces use the platform's key until they set new ones.
    """
    if not yes:
        typer.confirm(f"forget {sealing_key} and all that is sealed to it?", abort=True, err=True)
    typer.echo(f"forgot {sealing_key} and {run(_forget(sealing_key))} keys sealed to it")


def _read_key(provider: str, variable: str | None) -> str:
    if variable is not None:
        found = os.environ.get(variable)
        if not found:
            raise typer.BadParameter(f"{variable} is not set", param_hint="'--from-env'")
        return found
    if sys.stdin.isatty():
        return typer.prompt(f"key for {provider} (not shown)", hide_input=True, err=True)
    return sys.stdin.read()


def _shown(info: KeyInfo) -> str:
    if info.works is None:
        return "not tested" + (f": {info.problem}" if info.problem else "")
    return "yes" if info.works else f"no: {info.problem}"


def _as_json(info: KeyInfo) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(info)


def _sealing_as_json(key: SealingKey, *, in_use: bool) -> dict[str, object]:
    from penstock_client.sealing import encode_key

    return {
        "sealing_key": key.id,
        "public_key": encode_key(key.public_key),
        "in_use": in_use,
        "sealed": key.sealed,
        "since": key.created_at,
    }


async def _set(  # noqa: PLR0917 - the command's options
    workspace: str, provider: str, api_key: str, validate: bool, anyway: bool, timeout_s: float
) -> KeyInfo:
    async with connected() as penstock:
        return await penstock.keys.set(
            workspace, provider, api_key, validate=validate, anyway=anyway, timeout_s=timeout_s
        )


async def _list(workspace: str) -> list[KeyInfo]:
    async with connected() as penstock:
        return await penstock.keys.list(workspace)


async def _test(workspace: str, provider: str, timeout_s: float) -> KeyInfo:
    async with connected() as penstock:
        return await penstock.keys.test(workspace, provider, timeout_s=timeout_s)


async def _remove(workspace: str, provider: str) -> bool:
    async with connected() as penstock:
        return await penstock.keys.remove(workspace, provider)


async def _forget(sealing_key: str) -> int:
    async with connected() as penstock:
        return await penstock.keys.forget(sealing_key)


async def _status() -> Sequence[SealingKey]:
    async with connected() as penstock:
        return await penstock.keys.status()
