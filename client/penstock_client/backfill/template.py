"""Prompt templates: text with `{field}` placeholders that a row fills. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from penstock_schemas.errors import InvalidJob

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"\w[\w .-]*")


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts with a field's value between each two; `text` is what it was read from."""

    text: str
    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, *, origin: str = "prompt") -> Self:
        """Read a template: `{name}` is a field, `{{` and `}}` are braces.

        Raises InvalidJob that names `origin`, the line, and what is no placeholder.
        """
        literals: list[str] = [""]
        names: list[str] = []
        at = 0
        for token in _TOKEN.finditer(text):
            literals[-1] += text[at : token.start()]
            at = token.end()
            found, name = token[0], token[1]
            if found in {"{{", "}}"}:
                literals[-1] += found[0]
            elif name is not None and _NAME.fullmatch(name):
                names.append(name)
                literals.append("")
            else:
                line = text.count("\n", 0, token.start()) + 1
                raise InvalidJob(
                    f"{origin}: line {line}: {found!r} is not a placeholder such as {{field}}; "
                    "write {{ and }} for braces",
                    field="prompt",
                )
        literals[-1] += text[at:]
        return cls(text, tuple(literals), tuple(names))

    def render(self, fields: Mapping[str, Any]) -> str:
        """The text for one row: strings as they are, other values as JSON.

        Raises InvalidJob that names a field which the row lacks.
        """
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            if name not in fields:
                raise InvalidJob(f"the prompt needs the field {name!r}, which it lacks", field=name)
            value = fields[name]
            parts.append(value if isinstance(value, str) else _json(value))
            parts.append(literal)
        return "".join(parts)


def _json(value: Any) -> str:
    """A value as JSON; what JSON has no word for, such as a decimal, as its text."""
    return orjson.dumps(value, default=str).decode()
