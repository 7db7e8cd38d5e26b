"""The typed jobs: what each takes and refuses, and that it travels unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import (
    JOB_TYPES,
    Classify,
    Embed,
    Envelope,
    Extract,
    Generate,
    Reason,
    build_job,
)

HELLO = {"role": "user", "content": "hello"}
JSON_SCHEMA = {"type": "object", "properties": {"total": {"type": "number", "default": None}}}


class Order(BaseModel):
    """A typed schema."""

    number: str
    total: float | None = None


MINIMAL: dict[str, dict[str, Any]] = {
    "generate": {"prompt": "hello"},
    "reason": {"prompt": "why?"},
    "extract": {"text": "total: 3", "schema": JSON_SCHEMA},
    "classify": {"text": "hello", "labels": ["a", "b"]},
    "embed": {"input": ["one", "two"]},
}


def build(kind: str, **changes: Any) -> Any:
    fields = {"workspace": "acme", **MINIMAL[kind], **changes}
    return build_job(JOB_TYPES[kind], {k: v for k, v in fields.items() if v is not ...})  # type: ignore[index]


def refusal(kind: str, **changes: Any) -> InvalidJob:
    with pytest.raises(InvalidJob) as caught:
        build(kind, **changes)
    return caught.value


def travelled(job: Any) -> Any:
    return Envelope.decode(Envelope(routes=("openai/m",), job=job).encode()).job


# What is refused, and how the refusal reads.


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("generate", {"workspace": ...}, "workspace: is required"),
        ("generate", {"nonsense": 1}, "nonsense: is not a field of this job"),
        ("generate", {"prompt": ...}, "needs prompt or messages"),
        ("generate", {"prompt": ""}, "prompt: must not be empty"),
        ("generate", {"messages": [HELLO]}, "prompt and messages exclude each other"),
        ("generate", {"prompt": ..., "messages": []}, "messages: must not be empty"),
        ("generate", {"tool_choice": "auto"}, "tool_choice needs tools"),
        (
            "generate",
            {"deadline": datetime.fromisoformat("2030-01-01")},
            "deadline: needs a time zone",
        ),
        ("generate", {"deadline": "2030-01-01T00:00:00"}, "deadline: needs a time zone"),
        ("generate", {"schema": 3}, "schema: must be a pydantic model or a JSON Schema"),
        ("extract", {"schema": ...}, "schema: must be a pydantic model or a JSON Schema"),
        ("extract", {"schema": {}}, "schema: must be a pydantic model or a JSON Schema"),
        ("extract", {"text": ...}, "needs text, prompt or messages"),
        ("classify", {"text": ...}, "needs text, prompt or messages"),
        ("classify", {"labels": ...}, "labels: is required"),
        ("classify", {"labels": []}, "labels: must not be empty"),
        ("classify", {"labels": ["a", ""]}, "labels.1: must not be empty"),
        ("classify", {"labels": ["a", "b", "a"]}, "labels: labels must be distinct"),
        ("embed", {"input": ...}, "input: is required"),
        ("embed", {"input": []}, "input: must not be empty"),
        ("embed", {"input": ["a", ""]}, "input.1: must not be empty"),
        ("embed", {"prompt": "x"}, "prompt: is not a field of this job"),
    ],
)
def test_job_refusal_says_on_one_line_what_is_wrong_with_which_field(
    kind: str, changes: dict[str, Any], told: str
) -> None:
    assert str(refusal(kind, **changes)) == told


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("generate", "workspace", "Acme"),
        ("generate", "workspace", "acme\n"),
        ("generate", "workspace", "-acme"),
        ("generate", "workspace", "a" * 64),
        ("generate", "model", ""),
        ("generate", "skill", "with\0nul"),
        ("generate", "skill", "s" * 201),
        ("generate", "idempotency_key", ""),
        ("generate", "idempotency_key", "k" * 256),
        ("generate", "lane", "express"),
        ("generate", "timeout_s", 0),
        ("generate", "timeout_s", 3601),
        ("generate", "timeout_s", float("nan")),
        ("generate", "max_attempts", 0),
        ("generate", "max_attempts", 51),
        ("generate", "max_tokens", 0),
        ("generate", "temperature", 2.1),
        ("generate", "temperature", float("nan")),
        ("generate", "top_p", 0),
        ("generate", "presence_penalty", -2.1),
        ("generate", "frequency_penalty", 2.1),
        ("generate", "stop", "one string"),
        ("generate", "metadata", {"number": 1.5}),
        ("embed", "dimensions", 0),
        ("embed", "input", ["x"] * 2049),
        ("classify", "labels", [str(n) for n in range(1001)]),
        ("classify", "labels", "a"),
    ],
)
def test_job_refusal_names_the_field_out_of_bounds(kind: str, field: str, value: Any) -> None:
    told = str(refusal(kind, **{field: value}))
    assert told.startswith(field)
    assert "\n" not in told


def test_job_refusal_lists_every_mistake_without_the_input() -> None:
    told = str(refusal("generate", workspace="SECRET", max_tokens=0, lane="SECRET"))
    assert [part.split(":")[0] for part in told.split("; ")] == ["workspace", "lane", "max_tokens"]
    assert "SECRET" not in told


def test_job_refusal_carries_the_field_and_the_exit_code_of_usage() -> None:
    error = refusal("generate", nonsense=1)
    assert (error.field, error.exit_code) == ("nonsense", 2)


def test_job_made_directly_raises_without_showing_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Generate(workspace="acme", prompt="SECRET", max_tokens=0)
    assert "SECRET" not in str(caught.value)


# What is taken.


def test_job_type_names_its_default_capability() -> None:
    capabilities = {kind: build(kind).capability for kind in MINIMAL}
    assert capabilities == {kind: kind for kind in MINIMAL}


@pytest.mark.parametrize("kind", MINIMAL)
def test_job_takes_any_capability_name(kind: str) -> None:
    assert build(kind, capability="write haiku").capability == "write haiku"


@pytest.mark.parametrize("kind", MINIMAL)
def test_job_is_frozen(kind: str) -> None:
    with pytest.raises(ValidationError):
        build(kind).workspace = "other"


@pytest.mark.parametrize("name", ["schema", "output_schema"])
def test_schema_is_taken_by_either_name(name: str) -> None:
    fields = {"workspace": "acme", "text": "total: 3", name: JSON_SCHEMA}
    job = build_job(Extract, fields)
    assert job.output_schema == JSON_SCHEMA


@pytest.mark.parametrize("name", ["json", "json_output"])
def test_json_is_taken_by_either_name(name: str) -> None:
    assert build("generate", **{name: True}).json_output is True


def test_envelope_writes_schema_and_json_by_their_public_names() -> None:
    job = build("generate", json=True, schema=JSON_SCHEMA)
    written = orjson.loads(Envelope(routes=("openai/m",), job=job).encode())["job"]
    assert (written["json"], written["schema"]) == (True, JSON_SCHEMA)
    assert not {"json_output", "output_schema"} & written.keys()


def test_schema_of_a_model_is_kept_as_json_schema_and_as_type() -> None:
    job = Extract(workspace="acme", text="x", schema=Order)  # type: ignore[call-arg]
    assert job.output_schema == Order.model_json_schema()
    assert job.output_type is Order


def test_schema_of_a_dict_has_no_type() -> None:
    assert build("extract").output_type is None


def test_type_of_a_model_does_not_travel() -> None:
    job = travelled(build("extract", schema=Order))
    assert (job.output_schema, job.output_type) == (Order.model_json_schema(), None)


def test_text_jobs_over_a_text_take_a_prompt_beside_it() -> None:
    job = build("classify", prompt="Be strict.")
    assert (job.text, job.prompt) == ("hello", "Be strict.")


@pytest.mark.parametrize(("given_input", "texts"), [("one", ("one",)), (["a", "b"], ("a", "b"))])
def test_embed_takes_one_text_or_many(given_input: Any, texts: tuple[str, ...]) -> None:
    assert build("embed", input=given_input).input == texts


def test_tool_choice_names_a_tool() -> None:
    job = build("generate", tools=[{"name": "look_up"}], tool_choice={"name": "look_up"})
    assert travelled(job).tool_choice.name == "look_up"


# The envelope.

TAGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, min_size=1, max_size=3)
FIRST, LAST = (datetime(year, 6, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1971, 8999))
ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=9))]
)
TAG = TAGS.map(lambda text: text[:200])
COMMON = {
    "workspace": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True),
    "capability": TAG,
    "model": st.none() | TAG,
    "timeout_s": st.none() | st.floats(0.001, 3600),
    "max_attempts": st.integers(1, 50),
    "deadline": st.none() | st.datetimes(FIRST, LAST, timezones=ZONES),
    "lane": st.sampled_from(["interactive", "bulk", "background"]),
    "idempotency_key": st.none() | TAG,
    "skill": st.none() | TAG,
    "task_description": st.none() | TAG,
    "metadata": st.dictionaries(TEXT, TEXT, max_size=2),
}
TOOL_CALL = st.fixed_dictionaries(
    {"id": TEXT, "name": TEXT, "arguments": st.none() | OBJECTS, "raw_arguments": st.none() | TEXT}
)
PART = st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}) | st.fixed_dictionaries(
    {"type": st.just("image"), "url": TEXT}
)
MESSAGE = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer"]), "content": TEXT}),
    st.fixed_dictionaries({"role": st.just("user"), "content": TEXT | st.lists(PART, max_size=2)}),
    st.fixed_dictionaries(
        {
            "role": st.just("assistant"),
            "content": TEXT,
            "tool_calls": st.lists(TOOL_CALL, max_size=2),
        }
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": TEXT, "content": TEXT}),
)
SAMPLING = {
    "system": st.none() | TEXT,
    "schema": st.none() | OBJECTS,
    "json": st.booleans(),
    "max_tokens": st.none() | st.integers(1, 10_000_000),
    "temperature": st.none() | st.floats(0, 2),
    "stop": st.lists(TEXT, max_size=2),
    "seed": st.none() | st.integers(-(2**63), 2**63 - 1),
    "frequency_penalty": st.none() | st.floats(-2, 2),
    "tools": st.lists(
        st.fixed_dictionaries({"name": TEXT, "description": TEXT, "parameters": OBJECTS}),
        max_size=2,
    ),
}
INPUT = st.fixed_dictionaries({"prompt": TEXT}) | st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=3)}
)
LABELS = st.lists(TAG, min_size=1, max_size=4, unique=True)
OWN: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "generate": st.fixed_dictionaries(SAMPLING),
    "reason": st.fixed_dictionaries(SAMPLING),
    "extract": st.fixed_dictionaries(SAMPLING | {"schema": OBJECTS, "text": TEXT}),
    "classify": st.fixed_dictionaries(
        SAMPLING | {"labels": LABELS, "multi": st.booleans(), "text": TEXT}
    ),
    "embed": st.fixed_dictionaries(
        {
            "input": st.lists(TEXT, min_size=1, max_size=3),
            "dimensions": st.none() | st.integers(1, 1_000_000),
        }
    ),
}


@st.composite
def jobs(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(sorted(JOB_TYPES)))
    fields = draw(st.fixed_dictionaries(COMMON)) | draw(OWN[kind])
    if kind != "embed":
        fields |= draw(INPUT)
    return build_job(JOB_TYPES[kind], fields)


@settings(max_examples=80, deadline=None)
@given(jobs())
def test_envelope_carries_any_job_unchanged(job: Any) -> None:
    envelope = Envelope(routes=("openai/m", "anthropic/n"), job=job)
    read = Envelope.decode(envelope.encode())
    assert read == envelope
    assert type(read.job) is type(job)


def test_envelope_leaves_out_what_is_none() -> None:
    written = orjson.loads(Envelope(routes=("a/b",), job=build("generate")).encode())
    assert None not in written["job"].values()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"surprise": 1},
        {"job": {"type": "sing", "workspace": "acme"}},
        {"job": {"type": "generate", "workspace": "acme"}},
        {"routes": None},
    ],
)
def test_envelope_refuses_what_it_does_not_know(changes: dict[str, Any]) -> None:
    written = orjson.loads(Envelope(routes=("a/b",), job=build("generate")).encode())
    with pytest.raises(ValueError, match="validation error"):
        Envelope.decode(orjson.dumps(written | changes))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b'{"version":1'])
def test_envelope_refuses_what_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Envelope.decode(body)


def test_job_types_cover_the_public_ones() -> None:
    assert set(JOB_TYPES.values()) == {Generate, Reason, Extract, Classify, Embed}


@pytest.mark.parametrize("strategy", ["cost", "speed", "quality", "balanced", None])
def test_strategy_travels(strategy: str | None) -> None:
    assert travelled(build("generate", strategy=strategy)).strategy == strategy


def test_strategy_is_one_of_four() -> None:
    assert refusal("generate", strategy="cheapest").field == "strategy"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deadline", "0001-01-01T00:00:00+14:00"),
        ("deadline", "9999-12-31T23:59:59-14:00"),
        ("seed", 2**63),
        ("metadata", {str(n): "" for n in range(201)}),
        ("metadata", {"k": "x" * 10_001}),
        ("stop", ["x"] * 101),
        ("tools", [{"name": "f", "parameters": {"a": float("inf")}}]),
    ],
)
def test_job_refuses_what_no_server_behind_it_takes(field: str, value: object) -> None:
    with pytest.raises(InvalidJob, match=field):
        build_job(Generate, {"workspace": "acme", "prompt": "x", field: value})
