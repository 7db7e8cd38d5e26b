"""What a backfill asks of every row, and the identity by which a second run finds the first's jobs.

Pure: rows in, typed jobs out. A row's idempotency key follows from the backfill's settings, the
row's ID and what is asked about it, so asking the same again never pays twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal

import orjson

from penstock_client.backfill.source import Row
from penstock_client.backfill.template import Template
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import Classify, Extract, Generate, build_job

Kind = Literal["classify", "extract", "generate"]
#: Bumped when the same settings would ask for something else.
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings that change answers.

    `template` makes the prompt of a `generate`, and further instructions for the others. `run` is
    a name: another name asks everything anew. Raises InvalidJob for settings that do not fit.
    """

    workspace: str
    kind: Kind
    text_field: str = "text"
    labels: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    template: Template | None = None
    model: str | None = None
    max_tokens: int | None = None
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
        # What is wrong with the settings is wrong with every row: say so before the first.
        build_job(_KINDS[self.kind], self._fields("text", "prompt"))

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
        """A hash of everything here: two runs with the same identity ask the same of a row."""
        said = {
            "version": _VERSION,
            "workspace": self.workspace,
            "kind": self.kind,
            "text_field": self.text_field,
            "labels": self.labels,
            "schema": self.schema,
            "prompt": self.template.text if self.template else None,
            "model": self.model,
            "max_tokens": self.max_tokens,
            "run": self.run,
        }
        return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()

    def job(self, row: Row, *, generation: int = 0) -> Generate | Extract | Classify:
        """The job of a row; a later `generation` is a new try after a failure.

        Raises InvalidJob for a row that has a problem, has no usable text, or lacks a field of the
        prompt.
        """
        if row.problem:
            raise InvalidJob(row.problem)
        text = self._text_of(row.fields) if self.needs_text else None
        prompt = self.template.render(row.fields) if self.template else None
        if prompt is not None and not prompt.strip():
            raise InvalidJob("its prompt is empty", field="prompt")
        fields = self._fields(text, prompt)
        fields["idempotency_key"] = self._key(row, text, prompt, generation)
        return build_job(_KINDS[self.kind], fields)

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

    def _fields(self, text: str | None, prompt: str | None) -> dict[str, Any]:
        instructions = prompt if self.template else None
        fields: dict[str, Any] = {
            "workspace": self.workspace,
            "lane": "bulk",
            "model": self.model,
        }
        if self.max_tokens is not None:
            fields["max_tokens"] = self.max_tokens
        if self.labels:
            fields["labels"] = self.labels
        if self.schema is not None:
            fields["schema"] = self.schema
        if self.kind == "generate":
            return fields | {"prompt": instructions or text}
        return fields | {"text": text, "prompt": instructions}

    def _key(self, row: Row, text: str | None, prompt: str | None, generation: int) -> str:
        asked = blake2b(row.key, digest_size=20, key=self.identity.encode())
        for part in (text, prompt):
            said = (part or "").encode()
            asked.update(len(said).to_bytes(8, "big"))
            asked.update(said)
        return f"backfill:{asked.hexdigest()}:{generation}"


_KINDS: dict[Kind, type[Generate | Extract | Classify]] = {
    "classify": Classify,
    "extract": Extract,
    "generate": Generate,
}
