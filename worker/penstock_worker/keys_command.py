"""`penstock keys generate` and `penstock keys rotate`: the workers' private keys in their file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from penstock_client.cli.keys import GROUP, Json
from penstock_client.cli.printing import print_json
from penstock_client.cli.running import connected, fail, load_settings, run

if TYPE_CHECKING:
    from penstock_worker.keyring import PrivateKey

_Found = TypeVar("_Found")
_File = Annotated[
    Path | None,
    typer.Option(help="The file; default: PENSTOCK_PRIVATE_KEYS_FILE, or one in PENSTOCK_HOME."),
]


def register(app: typer.Typer) -> None:
    """Adds them to the group `penstock keys`."""
    group = next(group for group in app.registered_groups if group.name == GROUP).typer_instance
    if group is None:
        return
    group.command("generate", epilog="Example: penstock keys generate --show-public")(generate)
    group.command("rotate", epilog="Example: penstock keys rotate")(rotate)


def generate(
    file: _File = None,
    show_public: Annotated[
        bool, typer.Option("--show-public", help="Print the public key, to pin it.")
    ] = False,
    stdout: Annotated[
        bool,
        typer.Option("--stdout", help="Print a new private key, for PENSTOCK_PRIVATE_KEYS."),
    ] = False,
    json: Json = False,
) -> None:
    """Make the file with the workers' private key, unless it is there already.

    Every worker needs that file, nobody else may have it: it opens all keys that workspaces store.
    """
    from penstock_worker.keyring import PrivateKey, ensure_key_file

    if stdout:
        typer.echo(PrivateKey.new().text)
        return
    path = _path(file)
    created = _with_file(path, lambda: ensure_key_file(path))
    newest = _keys_in(path)[0]
    if json:
        print_json(_as_json(path, newest) | {"created": created})
        return
    typer.echo(f"{'made' if created else 'left as it is:'} {path} with {newest.id}")
    if show_public:
        _echo_public(newest)


def rotate(
    file: _File = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Take out old private keys that nothing is sealed to."),
    ] = False,
    json: Json = False,
) -> None:
    """Put a new private key in front of the others; workers take it up within seconds.

    They publish its public half and seal all stored keys anew. Once `penstock keys status` shows
    nothing at the old key any more, --prune takes that out. Where workers run on several machines,
    copy the file to each of them right away: meanwhile jobs wait, and none fails.
    """
    path = _path(file)
    if prune:
        _prune(path, as_json=json)
        return
    from penstock_worker.keyring import PrivateKey, write_keys

    newest, others = PrivateKey.new(), _keys_in(path)
    _with_file(path, lambda: write_keys(path, [newest, *others]))
    if json:
        print_json(_as_json(path, newest))
        return
    typer.echo(f"{path}: {newest.id} stands in front of {len(others)} older")
    _echo_public(newest)
    typer.echo("see `penstock keys status`, and then `penstock keys rotate --prune`")


def _prune(path: Path, *, as_json: bool) -> None:
    from penstock_worker.keyring import write_keys

    newest, *others = _keys_in(path)
    needed = run(_retire([key.id for key in others]))
    kept = [key for key in others if key.id in needed]
    gone = [key.id for key in others if key.id not in needed]
    if gone:
        _with_file(path, lambda: write_keys(path, [newest, *kept]))
    if as_json:
        print_json({"removed": gone, "sealed": {key.id: needed[key.id] for key in kept}})
    else:
        typer.echo(f"took out {', '.join(gone) or 'nothing'}")
    if kept:
        told = ", ".join(f"{needed[key.id]} to {key.id}" for key in kept)
        raise fail(f"still sealed: {told}; workers seal them anew within seconds, then try again")


async def _retire(ids: Sequence[str]) -> dict[str, int]:
    """Let nothing be sealed to these any more; those that something is sealed to, and how much."""
    async with connected() as penstock:
        await penstock.ledger.fetch_safely("retire_sealing_keys", ids)
        return {key.id: key.sealed for key in await penstock.keys.status() if key.sealed}


def _path(file: Path | None) -> Path:
    from penstock_schemas.errors import ConfigurationError
    from penstock_worker.credentials import environment
    from penstock_worker.keyring import KEYS_VARIABLE, key_file

    variables = environment(os.environ, folder=Path.cwd())
    if file is None and variables.get(KEYS_VARIABLE):
        raise ConfigurationError(
            f"{KEYS_VARIABLE} is set, so the keys stand in the environment: put what "
            "`penstock keys generate --stdout` prints in front of it, or name a --file"
        )
    return file or key_file(variables, home=load_settings().home)


def _keys_in(path: Path) -> list[PrivateKey]:
    from penstock_schemas.errors import ConfigurationError
    from penstock_worker.keyring import read_keys

    found = read_keys(path)
    if not found:
        raise ConfigurationError(f"{path}: is empty; remove it and run `penstock keys generate`")
    return found


def _with_file(path: Path, change: Callable[[], _Found]) -> _Found:
    from penstock_schemas.errors import ConfigurationError

    try:
        return change()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None


def _echo_public(key: PrivateKey) -> None:
    from penstock_client.sealing import PUBLIC_KEY_VARIABLE, encode_key

    typer.echo(f"{PUBLIC_KEY_VARIABLE}={encode_key(key.public)}")


def _as_json(path: Path, key: PrivateKey) -> dict[str, object]:
    from penstock_client.sealing import encode_key

    return {"file": str(path), "sealing_key": key.id, "public_key": encode_key(key.public)}
