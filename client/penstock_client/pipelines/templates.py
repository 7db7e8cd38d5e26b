"""Templates of skills: text and JSON with `{path}` placeholders. Pure.

A path starts at `inputs`, at a step (`{judge.text}`, `{read.output.contact}`), or in a fan-out at
`item` and `index`; `.name`, `[0]` and `[index]` lead on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, cast

import orjson

from penstock_schemas.errors import InvalidJob

INPUTS: Final = "inputs"
ITEM: Final = "item"
INDEX: Final = "index"
#: Names that no step can have.
RESERVED: Final = frozenset({INPUTS, ITEM, INDEX})

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PATH = re.compile(r"[A-Za-z0-9][\w-]*(?:\.\w[\w -]*|\[(?:\d{1,9}|index)\])*")
_PART = re.compile(r"\.?(\w[\w -]*)|\[(\d+|index)\]")
_MOST_KEYS = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """A path to a value; `[index]` is the part None."""

    text: str
    root: str
    path: tuple[str | int | None, ...]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what stands between the braces; None when it is no path."""
        if not _PATH.fullmatch(text):
            return None
        name = re.split(r"[.\[]", text, maxsplit=1)[0]
        parts: list[str | int | None] = []
        for part in _PART.finditer(text, len(name)):
            key, number = part[1], part[2]
            parts.append(key if key is not None else None if number == INDEX else int(number))
        return cls(text, name, tuple(parts))

    @property
    def roots(self) -> frozenset[str]:
        """What it starts at, and `index` where it needs that on its way."""
        return frozenset({self.root, INDEX}) if None in self.path else frozenset({self.root})


@dataclass(frozen=True, slots=True)
class Scope:
    """The values that paths lead to. `steps` maps the name of a step to its fields."""

    inputs: Any = None
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    item: Any = None
    index: int | None = None

    def at(self, item: Any, index: int) -> Scope:
        """The same for one item of a fan-out."""
        return Scope(self.inputs, self.steps, item, index)

    def value(self, reference: Reference, *, lenient: bool = False) -> Any:
        """The value at a path; what lies beyond a null is null.

        Raises InvalidJob that says where the path ends; with `lenient` that is null too.
        """
        value: Any = self._start(reference.root)
        for at, part in enumerate(reference.path):
            if value is None:
                return None
            found, value = _beyond(value, self.index if part is None else part)
            if not found:
                if lenient:
                    return None
                raise InvalidJob(_nothing(reference, at, value))
        return value

    def _start(self, root: str) -> Any:
        if root == INPUTS:
            return self.inputs
        if root == ITEM:
            return self.item
        return self.index if root == INDEX else self.steps[root]


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts with a reference between each two."""

    literals: tuple[str, ...]
    references: tuple[Reference, ...]

    @classmethod
    def parse(cls, text: str, *, origin: str) -> Self:
        """Read a template; `{{` and `}}` are braces.

        Raises InvalidJob that names `origin`, the line, and what is no placeholder.
        """
        literals: list[str] = [""]
        references: list[Reference] = []
        at = 0
        for token in _TOKEN.finditer(text):
            literals[-1] += text[at : token.start()]
            at = token.end()
            reference = Reference.parse(token[1].strip()) if token[1] is not None else None
            if reference is not None:
                references.append(reference)
                literals.append("")
            elif token[0] in {"{{", "}}"}:
                literals[-1] += token[0][0]
            else:
                line = text.count("\n", 0, token.start()) + 1
                raise InvalidJob(
                    f"{origin}: line {line}: {token[0]!r} is not a placeholder such as "
                    "{inputs.name} or {step.output}; write {{ and }} for braces",
                    field=origin.rpartition(" ")[2],
                )
        literals[-1] += text[at:]
        return cls(tuple(literals), tuple(references))

    @property
    def whole(self) -> Reference | None:
        """The one placeholder that the template is, None when there is more or less."""
        return self.references[0] if len(self.references) == 1 and not any(self.literals) else None

    def text(self, scope: Scope) -> str:
        """The text: strings as they are, other values as JSON. Raises as `Scope.value`."""
        parts = [self.literals[0]]
        for reference, literal in zip(self.references, self.literals[1:], strict=True):
            value = scope.value(reference)
            parts += (value if isinstance(value, str) else orjson.dumps(value).decode(), literal)
        return "".join(parts)

    def value(self, scope: Scope) -> Any:
        """The value of a template that is one placeholder, the text of any other."""
        return self.text(scope) if self.whole is None else scope.value(self.whole)


def templates_in(document: Any, *, origin: str) -> Iterator[Template]:
    """Every template in the strings of a JSON document. Raises as `Template.parse`."""
    if isinstance(document, str):
        yield Template.parse(document, origin=origin)
    elif isinstance(document, Mapping):
        for name, value in cast("Mapping[str, Any]", document).items():
            yield from templates_in(value, origin=f"{origin}.{name}")
    elif isinstance(document, (list, tuple)):
        for at, value in enumerate(cast("Sequence[Any]", document)):
            yield from templates_in(value, origin=f"{origin}.{at}")


def rendered(document: Any, scope: Scope) -> Any:
    """A JSON document with its templates filled; one that is a placeholder keeps its type."""
    if isinstance(document, str):
        return Template.parse(document, origin="").value(scope)
    if isinstance(document, Mapping):
        fields = cast("Mapping[str, Any]", document)
        return {name: rendered(value, scope) for name, value in fields.items()}
    if isinstance(document, (list, tuple)):
        return [rendered(value, scope) for value in cast("Sequence[Any]", document)]
    return document


def _beyond(value: Any, part: str | int | None) -> tuple[bool, Any]:
    """One part further: whether there is something, and what, or else where it ended."""
    ended: Any = value
    if isinstance(value, Mapping) and str(part) in value:
        return True, cast("Mapping[str, Any]", value)[str(part)]
    if isinstance(value, (list, tuple)) and isinstance(part, int):
        entries = cast("Sequence[Any]", value)
        if part < len(entries):
            return True, entries[part]
    return False, ended


def _nothing(reference: Reference, at: int, value: Any) -> str:
    part = reference.path[at]
    wanted = repr(part) if isinstance(part, str) else f"[{INDEX if part is None else part}]"
    if isinstance(value, Mapping):
        names = [str(name) for name in cast("Mapping[str, Any]", value)]
        more = ", …" if len(names) > _MOST_KEYS else ""
        there = f"only {', '.join(names[:_MOST_KEYS])}{more}" if names else "nothing"
    elif isinstance(value, (list, tuple)):
        there = f"a list of {len(cast('Sequence[Any]', value))}"
    else:
        there = f"a {type(value).__name__}, which has no parts"
    return f"{{{reference.text}}}: there is no {wanted}, {there}"
