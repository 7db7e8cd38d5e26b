"""The servers under a stack: those that the settings name, or embedded ones; then made ready."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from penstock_client import Penstock, Settings
from penstock_client.ledger import Ledger, migrate
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE
from penstock_schemas.errors import ConfigurationError, PenstockError
from penstock_worker.embedded import EmbeddedError, EmbeddedStack, Restart
from penstock_worker.keyring import FILE_VARIABLE, KEYS_VARIABLE, ensure_key_file, key_file

DEMO_WORKSPACE = "demo"
_LOOPBACK = "127.0.0.1"


class StackFailed(PenstockError):
    """A stack of its own cannot start or run; says why and what to do next."""


def wants_own_servers(settings: Settings) -> bool:
    """Whether the settings name no servers. Raises ConfigurationError if they name one of two."""
    named = {REDIS_VARIABLE: settings.redis_url, DATABASE_VARIABLE: settings.database_url}
    missing = [variable for variable, url in named.items() if not url]
    if len(missing) == 1:
        raise ConfigurationError(
            f"{missing[0]} is not set but its counterpart is: set both to use servers of yours, "
            "or none to have them started here"
        )
    return bool(missing)


@asynccontextmanager
async def servers(
    settings: Settings, *, on_restart: Callable[[Restart], None]
) -> AsyncGenerator[Settings]:
    """Settings that name running servers; embedded ones run in `settings.home` until the end.

    Raises StackFailed when those cannot start.
    """
    if not wants_own_servers(settings):
        yield settings
        return
    embedded = EmbeddedStack(settings.home, on_restart=on_restart)
    try:
        await embedded.__aenter__()
    except EmbeddedError as error:
        raise StackFailed(str(error)) from None
    try:
        yield settings.model_copy(
            update={"redis_url": embedded.redis_url, "database_url": embedded.database_url}
        )
    finally:
        await embedded.__aexit__(None, None, None)


def private_keys(settings: Settings, variables: Mapping[str, str], *, own: bool) -> dict[str, str]:
    """What workers and the steward, and only they, are told of their private keys.

    With servers of its own a stack makes the file with a first key where there is none; on other
    servers a key of its own would be a stranger's. Raises StackFailed when it cannot be made.
    """
    if variables.get(KEYS_VARIABLE):
        return {}
    file = key_file(variables, home=settings.home).absolute()
    if own:
        try:
            ensure_key_file(file)
        except OSError as error:
            raise StackFailed(f"{file}: cannot be written: {error.strerror}") from None
    return {FILE_VARIABLE: str(file)} if file.is_file() else {}


async def prepare(settings: Settings) -> list[str]:
    """Migrate, and create the workspace `demo` (no token budget) if it is missing.

    Returns the migrations applied. Raises Unavailable or ConfigurationError. Idempotent.
    """
    ledger = await Ledger.connect(settings, max_size=1)
    try:
        async with ledger.pool.acquire() as connection:
            applied = await migrate(connection)
    finally:
        await ledger.close()
    async with Penstock.connect(settings=settings) as penstock:
        await penstock.workspaces.create(DEMO_WORKSPACE, monthly_tokens=None)
    return applied


def port_or_free(wanted: int) -> int:
    """The port `wanted` if it can be listened on, else a free one; 0 is a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise StackFailed("no free port on loopback")


async def takes_connections(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection(_LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
