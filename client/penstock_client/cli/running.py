"""How commands run: settings, a connection, one event loop, and errors as one line."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from penstock_client.client import Penstock
    from penstock_client.settings import Settings

T = TypeVar("T")

#: Set it to anything to see tracebacks and logs.
DEBUG_VARIABLE = "PENSTOCK_DEBUG"
INTERRUPTED = 130


def run(work: Coroutine[Any, Any, T], *, go_on: Callable[[], str] | None = None) -> T:
    """Run a command's coroutine; Ctrl-C ends it with exit code 130 and says how to go on."""
    if not os.environ.get(DEBUG_VARIABLE):
        logging.getLogger("penstock").addHandler(logging.NullHandler())
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        hint = go_on() if go_on else "run the same command again"
        typer.echo(f"interrupted: {hint}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def load_settings() -> Settings:
    """Settings from the environment; raises ConfigurationError that names the variable."""
    from pydantic import ValidationError

    from penstock_client.settings import Settings
    from penstock_schemas.errors import ConfigurationError

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"PENSTOCK_{name}: {first['msg']}") from None


@asynccontextmanager
async def connected() -> AsyncGenerator[Penstock]:
    """A connection by the environment's settings."""
    from penstock_client.client import Penstock

    async with Penstock.connect(settings=load_settings()) as penstock:
        yield penstock


def exit_code_of(error: Exception) -> int:
    """Print an error as one line on stderr; gives the exit code that goes with it."""
    from penstock_schemas.errors import PenstockError

    message = " ".join(str(error).split())
    if isinstance(error, PenstockError):
        typer.echo(f"error: {message}", err=True)
        return error.exit_code
    typer.echo(
        f"error: {type(error).__name__}: {message} ({DEBUG_VARIABLE}=1 shows where)", err=True
    )
    return 1


def fail(message: str) -> typer.Exit:
    """Print `error: …`; raise what this gives to end a command whose work failed."""
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(1)


def read_text(path: str, option: str) -> str:
    """The text of a file, or of stdin for `-`; raises InvalidJob that names option and file."""
    from pathlib import Path

    from penstock_schemas.errors import InvalidJob

    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise InvalidJob(f"{option}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidJob(f"{option}: {path} is not UTF-8 text") from None
