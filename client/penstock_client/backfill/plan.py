"""What a backfill asks of every row, and the identity by which a second start finds the first.

Pure: rows in, typed jobs out. A plan is kept with its backfill as JSON; a row as the text and the
prompt that the plan makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, Self, cast

import orjson

from penstock_client.backfill.several import refused_schema, several_fields
from penstock_client.backfill.source import Row
from penstock_client.backfill.template import Template
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import Classify, Extract, Generate, build_job

Kind = Literal["classify", "extract", "generate"]
RowJob = Generate | Extract | Classify
#: Bumped when the same settings would ask for something else.
_VERSION = 2
#: Rows of one call, and examples of one prompt, at most.
MOST_ROWS_PER_CALL, MOST_EXAMPLES = 100, 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one row: its text, its prompt, or both."""

    text: str | None
    prompt: str | None

    def encode(self) -> bytes:
        """As it is kept."""
        return orjson.dumps([self.text, self.prompt])

    @classmethod
    def decode(cls, body: bytes) -> Asked:
        """From what was kept."""
        text, prompt = orjson.loads(body)
        return cls(text, prompt)


@dataclass(frozen=True, slots=True)
class Example:
    """A text with the label that it should get."""

    text: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings that change answers.

    `template` makes the prompt of a `generate`, and further instructions for the others. `examples`
    are shown before each question to classify. With `rows_per_call` that many rows are asked in one
    prompt, and a row that has no part in its answer is asked alone. `run` is a name: another name
    asks everything anew. Raises InvalidJob for settings that do not fit.
    """

    workspace: str
    kind: Kind
    text_field: str = "text"
    labels: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    template: Template | None = None
    model: str | None = None
    configuration: str | None = None
    max_tokens: int | None = None
    examples: tuple[Example, ...] = ()
    rows_per_call: int = 1
    run: str = ""

    def __post_init__(self) -> None:
        if self.kind == "classify" and not self.labels:
            raise InvalidJob("labels-file: classify needs labels", field="labels-file")
        if self.kind == "extract" and self.schema is None:
            raise InvalidJob("schema-file: extract needs a JSON Schema", field="schema-file")
        if self.labels and self.kind != "classify":
            raise InvalidJob(f"labels-file: {self.kind} takes no labels", field="labels-file")
        if self.schema is not None and self.kind == "classify":
            raise InvalidJob("schema-file: classify takes no schema", field="schema-file")
        self._check_examples()
        self._check_several()
        # What is wrong with the settings is wrong with every row: say so before the first.
        build_job(_KINDS[self.kind], self._fields("text", "prompt"))

    @property
    def as_text(self) -> bool:
        """Whether answers are texts rather than JSON values."""
        return self.kind == "generate" and self.schema is None

    @property
    def needs_text(self) -> bool:
        """Whether a row must have the text field: not where a template makes the whole prompt."""
        if self.kind != "generate" or self.template is None:
            return True
        return self.text_field in self.template.names

    @property
    def needed_fields(self) -> frozenset[str]:
        """The fields that rows are expected to have, beside their ID."""
        names = self.template.names if self.template else ()
        return frozenset(names) | ({self.text_field} if self.needs_text else frozenset[str]())

    @cached_property
    def identity(self) -> str:
        """A hash of everything here: two plans with the same identity ask the same of a row."""
        said = {"version": _VERSION, "workspace": self.workspace, **self.document()}
        return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()

    def document(self) -> dict[str, Any]:
        """The plan as JSON, without its workspace: the stable shape in which it is kept."""
        return {
            "type": self.kind,
            "text_field": self.text_field,
            "labels": list(self.labels),
            "schema": self.schema,
            "prompt": self.template.text if self.template else None,
            "model": self.model,
            "configuration": self.configuration,
            "max_tokens": self.max_tokens,
            "examples": [[example.text, example.label] for example in self.examples],
            "rows_per_call": self.rows_per_call,
            "run": self.run,
        }

    @classmethod
    def of(cls, workspace: str, document: Mapping[str, Any]) -> Self:
        """The plan of a document; raises InvalidJob for settings that do not fit."""
        prompt = document.get("prompt")
        examples = cast("Sequence[Sequence[str]]", document.get("examples") or ())
        return cls(
            workspace=workspace,
            kind=document["type"],
            text_field=document.get("text_field") or "text",
            labels=tuple(document.get("labels") or ()),
            schema=document.get("schema"),
            template=Template.parse(prompt) if prompt else None,
            model=document.get("model"),
            configuration=document.get("configuration"),
            max_tokens=document.get("max_tokens"),
            examples=tuple(Example(text, label) for text, label in examples),
            rows_per_call=document.get("rows_per_call") or 1,
            run=document.get("run") or "",
        )

    def asked(self, row: Row) -> Asked:
        """What is asked of a row.

        Raises InvalidJob for a row that has a problem, has no usable text, or lacks a field of the
        prompt.
        """
        if row.problem:
            raise InvalidJob(row.problem)
        text = self._text_of(row.fields) if self.needs_text else None
        prompt = self.template.render(row.fields) if self.template else None
        if prompt is not None and not prompt.strip():
            raise InvalidJob("its prompt is empty", field="prompt")
        if self.kind == "generate":
            return Asked(None, prompt or text)
        return Asked(text, prompt)

    def digest(self, asked: Asked) -> bytes:
        """16 bytes that stand for what is asked of a row."""
        said = blake2b(digest_size=16)
        for part in (asked.text, asked.prompt):
            encoded = (part or "").encode(errors="replace")
            said.update(len(encoded).to_bytes(8, "big"))
            said.update(encoded)
        return said.digest()

    def job(self, asked: Asked) -> RowJob:
        """The job of a row alone."""
        changes: dict[str, Any] = {"prompt": self._prompt(asked.prompt)}
        if self.kind != "generate":
            changes["text"] = asked.text
        return self._first.model_copy(update=changes)

    def job_of_several(self, rows: Sequence[Asked]) -> Extract:
        """The job of several rows; `several.parts` takes its answer apart."""
        return self._several.model_copy(
            update=several_fields(
                [row.text or "" for row in rows],
                instructions=self._prompt(rows[0].prompt),
                labels=self.labels,
                schema=self.schema,
            )
        )

    @cached_property
    def _first(self) -> RowJob:
        return build_job(_KINDS[self.kind], self._fields("text", "prompt"))

    @cached_property
    def _several(self) -> Extract:
        fields = self._fields("text", "prompt")
        fields.pop("labels", None)
        fields |= {"schema": {"type": "object"}, "capability": self._first.capability}
        return build_job(Extract, fields)

    def _text_of(self, fields: Mapping[str, Any]) -> str:
        name = self.text_field
        if name not in fields or fields[name] is None:
            raise InvalidJob(f"has no {name!r}", field=name)
        text = fields[name]
        if not isinstance(text, str):
            raise InvalidJob(f"{name!r} is not text", field=name)
        if not text.strip():
            raise InvalidJob(f"{name!r} is empty", field=name)
        return text

    def _prompt(self, prompt: str | None) -> str | None:
        """A row's prompt with the examples before it."""
        if not self.examples:
            return prompt
        return f"{self._shown_examples}\n\n{prompt}" if prompt else self._shown_examples

    @cached_property
    def _shown_examples(self) -> str:
        lines = [
            orjson.dumps({"text": example.text, "label": example.label}).decode()
            for example in self.examples
        ]
        return "\n".join(["Examples of texts with the labels that are right for them:", *lines])

    def _fields(self, text: str, prompt: str) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "workspace": self.workspace,
            "lane": "bulk",
            "model": self.model,
            "configuration": self.configuration,
            "prompt": prompt,
        }
        if self.max_tokens is not None:
            fields["max_tokens"] = self.max_tokens
        if self.labels:
            fields["labels"] = self.labels
        if self.schema is not None:
            fields["schema"] = self.schema
        return fields if self.kind == "generate" else fields | {"text": text}

    def _check_examples(self) -> None:
        if not self.examples:
            return
        if self.kind != "classify":
            raise InvalidJob(f"examples: {self.kind} takes no examples", field="examples")
        if len(self.examples) > MOST_EXAMPLES:
            told = f"examples-per-prompt: {MOST_EXAMPLES} at most"
            raise InvalidJob(told, field="examples-per-prompt")
        for example in self.examples:
            if example.label not in self.labels:
                told = f"examples: {example.label!r} is none of the labels"
                raise InvalidJob(told, field="examples")

    def _check_several(self) -> None:
        if self.rows_per_call == 1:
            return
        field, why = "rows-per-call", None
        if not 1 <= self.rows_per_call <= MOST_ROWS_PER_CALL:
            why = f"must be 1 to {MOST_ROWS_PER_CALL}"
        elif self.kind == "generate":
            why = "generate asks one row at a time"
        elif self.template is not None and self.template.names:
            why = "the prompt has fields, which differ from row to row"
        elif self.schema is not None:
            why = refused_schema(self.schema)
        if why is not None:
            raise InvalidJob(f"{field}: {why}", field=field)


_KINDS: dict[Kind, type[RowJob]] = {
    "classify": Classify,
    "extract": Extract,
    "generate": Generate,
}
