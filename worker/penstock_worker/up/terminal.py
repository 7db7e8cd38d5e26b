"""What `penstock up` shows: its children's lines under their names, and how to go on from here."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan")
_SELF = "penstock"
_LEVEL_STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
#: What every line of one run has in common, or what its prefix says already.
_UNTOLD = ("event", "level", "timestamp", "worker", "steward", "exception")


class Terminal:
    """Writes to standard output; without colours where it is no terminal."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._console = Console(soft_wrap=True, highlight=False)
        self._width = max(map(len, (_SELF, "PostgreSQL", *names)))
        self._colours: dict[str, str] = {_SELF: "bold"}

    def hear(self, name: str, line: str) -> None:
        """One line of a child: its own words, or a JSON log line as `event key=value …`."""
        words = readable(line)
        if words is None:
            return
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        prefix = (f"{name:<{self._width}} | ", colour)
        self._console.print(Text.assemble(prefix, words))

    def note(self, name: str, line: str) -> None:
        """One line about a child."""
        self.say(f"{name} {line}")

    def say(self, line: str) -> None:
        """One line of the stack itself."""
        self.hear(_SELF, line)

    def ready(
        self,
        *,
        gateway_url: str,
        workers: Sequence[str],
        simulated: bool,
        data: str,
        variables: Mapping[str, str],
        late: Sequence[str],
        path: str | None = None,
    ) -> None:
        """The addresses, the variables that another shell needs, and what to try.

        `path` is the folder of commands that a shell does not find by itself.
        """
        show = self._console.print
        state = ("ready", "bold green") if not late else ("running", "bold yellow")
        show()
        show(Text.assemble(("Penstock is ", "bold"), state, _in_brackets(simulated)))
        if late:
            show(Text(f"  not ready: {', '.join(late)} (their lines above say why)", "yellow"))
        show(Text(f"  gateway  {gateway_url}  (console and HTTP API)"))
        show(Text(f"  workers  {', '.join(workers)}"))
        show(Text(f"  data     {data}"))
        show()
        show(Text("In another shell:", "bold"))
        if path is not None:
            show(Text(f"export PATH={shlex.quote(path)}:$PATH"))
        for name, value in variables.items():
            show(Text(f"export {name}={shlex.quote(value)}"))
        show()
        show(Text("then, for example:", "bold"))
        show(Text("python examples/quickstart.py"))
        show(
            Text(
                "penstock submit -w demo --capability classify --text 'Where is my parcel?' "
                "--label delivery --label refund --wait"
            )
        )
        show(Text("penstock workspace token create demo --name laptop  # to log in there"))
        show()
        show(Text("Ctrl-C stops everything.", "dim"))
        show()


def leave_telling_to_the_terminal() -> None:
    """Keep the libraries' own log lines of this process off it; the services' are heard."""
    for name in ("penstock", "penstock_worker"):
        logging.getLogger(name).addHandler(logging.NullHandler())


def readable(line: str) -> Text | None:
    """A child's line for people; None for the news that an empty index is empty."""
    try:
        record: Any = orjson.loads(line)
        event, level = str(record["event"]), str(record.get("level", "info"))
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return Text(line)
    if event == "index.rebuilt" and not any(record.get(n) for n in ("waiting", "running")):
        return None
    told = " ".join(f"{name}={value}" for name, value in record.items() if name not in _UNTOLD)
    failure = f"\n{record['exception']}" if "exception" in record else ""
    return Text(f"{event}  {told}{failure}".rstrip(), style=_LEVEL_STYLES.get(level, ""))


def _in_brackets(simulated: bool) -> tuple[str, str]:
    if not simulated:
        return "", ""
    return " (simulated: every answer is computed on this machine, no provider is called)", "yellow"
