"""Prints the help of every `penstock` command as Markdown: what docs/cli.md holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from penstock_client.cli.main import app, load_plugins

WIDTH = 100


def sections(command: Any, context: Any, name: str) -> Iterator[str]:
    """The help of a command, then of each command below it."""
    yield f"## `{name}`\n\n```\n{command.get_help(context).rstrip()}\n```\n"
    for below in command.list_commands(context) if hasattr(command, "list_commands") else ():
        child = command.get_command(context, below)
        child_context = child.context_class(
            child, info_name=below, parent=context, terminal_width=WIDTH, max_content_width=WIDTH
        )
        yield from sections(child, child_context, f"{name} {below}")


def reference() -> str:
    """The whole page."""
    load_plugins(app)
    command: Any = get_command(app)
    context = command.context_class(
        command, info_name="penstock", terminal_width=WIDTH, max_content_width=WIDTH
    )
    head = "# Commands\n\nMade by `scripts/docs` from the commands' own help.\n"
    return "\n".join([head, *sections(command, context, "penstock")])


if __name__ == "__main__":
    print(reference(), end="")
