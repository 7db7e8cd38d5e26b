"""The files that say what a backfill asks: labels, a JSON Schema, a prompt template.

Each loader raises InvalidJob, one line that names the option, the file and what to change.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import orjson

from penstock_client.backfill.plan import Example
from penstock_client.backfill.source import Malformed, Source
from penstock_client.backfill.template import Template
from penstock_client.json_schemas import schema_problem
from penstock_schemas.errors import InvalidJob


def load_labels(path: Path) -> tuple[str, ...]:
    """Labels from a JSON array of strings, or one on each line; distinct and not empty."""
    text = _read(path, "labels-file")
    if text.lstrip().startswith("["):
        found = _json(text, path, "labels-file")
        labels = [label.strip() if isinstance(label, str) else "" for label in found]
        if "" in labels:
            place = labels.index("") + 1
            raise _wrong("labels-file", path, f"item {place} is not a text with characters in it")
    else:
        labels = [line.strip() for line in text.splitlines() if line.strip()]
    if not labels:
        raise _wrong("labels-file", path, "holds no labels")
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated is not None:
        raise _wrong("labels-file", path, f"holds {repeated!r} more than once")
    return tuple(labels)


def load_schema(path: Path) -> dict[str, Any]:
    """A JSON Schema, checked against the meta-schema that it names (or the latest)."""
    schema = _json(_read(path, "schema-file"), path, "schema-file")
    if not isinstance(schema, dict) or not schema:
        raise _wrong("schema-file", path, "is not a JSON object with a schema in it")
    schema = cast("dict[str, Any]", schema)
    problem = schema_problem(schema)
    if problem is not None:
        raise _wrong("schema-file", path, f"is not a JSON Schema{problem}")
    return schema


def load_template(path: Path) -> Template:
    """A prompt template with `{field}` placeholders."""
    text = _read(path, "prompt-file")
    if not text.strip():
        raise _wrong("prompt-file", path, "is empty")
    return Template.parse(text, origin=f"prompt-file: {path}")


def load_examples(
    path: Path, *, text_field: str, label_field: str, count: int
) -> tuple[Example, ...]:
    """So many examples of a labelled file (JSON lines, CSV or TSV), as many of each label as fit.

    The first ones of each label, label by label in turns, so the same file gives the same examples.
    """
    by_label: dict[str, list[Example]] = {}
    source = Source(path, label_field)
    _read(path, "examples")
    for row in source.rows():
        if isinstance(row, Malformed) or row.problem:
            told = row.message if isinstance(row, Malformed) else row.problem
            raise _wrong("examples", path, f"line {row.line}: {told}")
        text, label = row.fields.get(text_field), row.fields.get(label_field)
        if not isinstance(text, str) or not isinstance(label, str) or not text.strip():
            need = f"needs the texts {text_field!r} and {label_field!r}"
            raise _wrong("examples", path, f"line {row.line}: {need}")
        by_label.setdefault(label, []).append(Example(text, label))
    turns = zip_longest(*by_label.values())
    chosen = [example for turn in turns for example in turn if example is not None][:count]
    if not chosen:
        raise _wrong("examples", path, "holds no examples")
    return tuple(chosen)


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise _wrong(option, path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _wrong(option, path, f"is not UTF-8 text (byte {error.start})") from None


def _json(text: str, path: Path, option: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _wrong(option, path, f"line {error.lineno}: not JSON: {error.msg}") from None


def _wrong(option: str, path: Path, what: str) -> InvalidJob:
    return InvalidJob(f"{option}: {path} {what}", field=option)
