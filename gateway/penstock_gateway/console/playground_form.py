"""Pure: what was filled in on the playground's page <-> the typed job that it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, cast, get_args

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from penstock_client.routing import AnyJob
from penstock_gateway.problems import invalid
from penstock_schemas.jobs import JOB_TYPES, Embed, JobType, Strategy

#: The tag of its jobs, by which usage tells them apart.
SKILL: Final = "playground"
#: Nobody waits for what has not ended by then.
DEADLINE: Final = timedelta(hours=1)
KINDS: Final[tuple[JobType, ...]] = get_args(JobType)
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)
_OVER_TEXT: Final = frozenset({"extract", "classify"})
_TAKES_SCHEMA: Final = frozenset({"generate", "reason", "extract"})
#: Where a field of a job stands in the form, if not under its own name.
_SHOWN_AT: Final = {"output_schema": "schema", "input": "text", "type": "kind"}


class Mistakes(Exception):
    """What cannot be accepted: a sentence for each field of the form."""

    def __init__(self, told: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in told.items()))
        self.told = told


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form's fields as they were filled in; empty ones say nothing.

    `text` is what the job is about: the prompt, or with an embedding a text per line. `labels`
    stand one per line. `workspace` is not the form's to say who may see.
    """

    workspace: str = ""
    kind: str = "generate"
    capability: str = ""
    text: str = ""
    labels: str = ""
    multi: str = ""
    schema: str = ""
    model: str = ""
    strategy: str = ""
    prompt: str = ""
    system: str = ""
    max_tokens: str = ""
    temperature: str = ""
    configuration: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Form:
        """The form of the fields that were sent, whatever else was."""
        known = [field.name for field in fields(cls)]
        filled = {name: _plain(given[name]) for name in known if name in given}
        if filled.get("kind", "generate") not in KINDS:
            filled["kind"] = "generate"
        return cls(**filled)

    @classmethod
    def about(cls, job: AnyJob) -> Form:
        """The form that asks for a job again."""
        given: dict[str, Any] = job.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = given.get("text") or given.get("prompt") or ""
        lines = given.get("input")
        schema = given.get("schema")
        has_both = "text" in given and "prompt" in given
        return cls(
            workspace=job.workspace,
            kind=job.type,
            capability="" if job.capability == job.type else job.capability,
            text="\n".join(lines) if isinstance(lines, list) else text,  # pyright: ignore[reportUnknownArgumentType]
            labels="\n".join(given.get("labels", ())),
            multi="on" if given.get("multi") else "",
            schema=to_json(schema, indent=2).decode() if schema else "",
            model=given.get("model", ""),
            strategy=given.get("strategy", ""),
            prompt=given["prompt"] if has_both else "",
            system=given.get("system", ""),
            max_tokens=str(given.get("max_tokens", "")),
            temperature=str(given.get("temperature", "")),
            configuration=given.get("configuration", ""),
        )

    def job(self, workspace: str, *, now: datetime) -> AnyJob:
        """The job that is asked for, streamed where it can be; raises Mistakes."""
        kind = cast("JobType", self.kind)
        given = {**self._given(kind), **self._measures()}
        given |= {"workspace": workspace, "skill": SKILL, "deadline": now + DEADLINE}
        try:
            return JOB_TYPES[kind].model_validate(given)
        except ValidationError as error:
            raise Mistakes(_mistakes(error)) from None

    def _given(self, kind: JobType) -> dict[str, Any]:
        names = ("capability", "model", "strategy", "configuration")
        given: dict[str, Any] = {name: getattr(self, name).strip() for name in names}
        if JOB_TYPES[kind] is Embed:
            given["input"] = _lines(self.text)
            given.pop("strategy")
            return _filled(given) | {"input": given["input"]}
        given["system"] = self.system.strip()
        given["text" if kind in _OVER_TEXT else "prompt"] = self.text.strip()
        if kind in _OVER_TEXT:
            given["prompt"] = self.prompt.strip()
        if kind in _TAKES_SCHEMA and self.schema.strip():
            given["schema"] = _schema(self.schema)
        given = _filled(given) | {"stream": True}
        if kind == "classify":
            given |= {"labels": _lines(self.labels), "multi": self.multi == "on"}
        return given

    def _measures(self) -> dict[str, Any]:
        if self.kind == "embed":
            return {}
        return _filled({"max_tokens": self.max_tokens, "temperature": self.temperature})


def _plain(text: str) -> str:
    """As it was typed: forms send line ends as CR LF, and no job may have a NUL."""
    return text.replace("\r\n", "\n").replace("\x00", "")


def _filled(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value != ""}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _schema(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        told = re.sub(r"^[a-z]", lambda first: first[0].upper(), str(error))
        raise Mistakes({"schema": f"This is not JSON. {told}."}) from None


def _mistakes(error: ValidationError) -> dict[str, str]:
    """A sentence for each field, the first that was found of it."""
    told: dict[str, str] = {}
    for each in invalid(error):
        name = each.field.partition(".")[0]
        if not name and each.message.startswith("schema: "):
            name = "schema"  # told of the job as a whole
        field = _SHOWN_AT.get(name, name) or "text"
        message = _PLAINER.get((field, each.message), each.message)
        told.setdefault(field, f"{message[:1].upper()}{message[1:].rstrip('.')}.")
    return told


_EMPTY: Final = "Tuple should have at least 1 item after validation, not 0"
_PLAINER: Final = {
    ("text", "needs prompt or messages"): "Write what to ask",
    ("text", "needs text, prompt or messages"): "Write the text to work on",
    ("text", _EMPTY): "Write a text, or several, one in each line",
    ("labels", _EMPTY): "Write the labels to choose from, one in each line",
    (
        "schema",
        "schema: must be a pydantic model or a JSON Schema",
    ): "Write the JSON Schema to fill",
}
