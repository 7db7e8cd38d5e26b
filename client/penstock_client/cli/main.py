"""`penstock`: the entry point. Gathers the commands, runs one, and turns its error into one line.

Commands import what they need when they run: `penstock --help` must stay fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated

import typer

from penstock_client.cli import (
    backfill,
    doctor,
    explain,
    jobs,
    keys,
    limits,
    migrate,
    models,
    pauses,
    providers,
    runs,
    skills,
    stream,
    submit,
    usage,
    webhooks,
    workspaces,
)
from penstock_client.cli.running import DEBUG_VARIABLE, exit_code_of

#: Distributions add commands by an entry point `register(app)` in this group.
GROUP = "penstock.commands"


def _show_version(wanted: bool) -> None:
    if wanted:
        from penstock_schemas import __version__

        typer.echo(f"penstock {__version__}")
        raise typer.Exit


def _penstock(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Queue-based LLM calls: submit typed jobs, await normalised results."""


def new_app() -> typer.Typer:
    """The command line with the producer's commands."""
    app = typer.Typer(
        name="penstock",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"max_content_width": 100},
        epilog="Example: penstock submit --workspace acme --capability classify "
        '--text "I want a refund" --label refund --label praise --wait',
    )
    app.callback()(_penstock)
    for module in (
        submit,
        stream,
        explain,
        jobs,
        backfill,
        skills,
        runs,
        workspaces,
        keys,
        webhooks,
        usage,
        models,
        providers,
        limits,
        pauses,
        migrate,
        doctor,
    ):
        module.register(app)
    return app


app = new_app()


def load_plugins(app: typer.Typer) -> None:
    """Add the commands of other distributions; one that is broken costs a line on stderr."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            entry.load()(app)
        except Exception as error:  # noqa: BLE001 - a broken plug-in must not take the rest with it
            why = " ".join(f"{type(error).__name__}: {error}".split())
            typer.echo(f"warning: the commands of {entry.value} are missing: {why}", err=True)


@cache
def command_line() -> Callable[..., object]:
    """The whole command line, put together once a process: that is most of what a command costs."""
    load_plugins(app)
    return typer.main.get_command(app)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 usage, 130 interrupted."""
    try:
        command_line()(args=None if args is None else list(args), prog_name="penstock")
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.exit(exit_code_of(error))
