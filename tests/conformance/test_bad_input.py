"""What cannot be sent as it is meant is told before anything is sent, by the job's own names."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_client.routing import routes_for
from penstock_schemas.catalog import catalog
from penstock_schemas.errors import ConfigurationError, ProviderError, UnknownModel, UnknownProvider
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.protocol import Built
from tests.client.routed import config
from tests.conformance.wires import WireRow
from tests.providers.wire_calls import body_of, built, generate

WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
FREE_KEYS = {"type": "object", "additionalProperties": {"type": "integer"}}
BAD_SCHEMAS: dict[str, dict[str, Any]] = {
    "no such type": {"type": "strnig"},
    "leads nowhere": {"$ref": "#/$defs/missing"},
    "leads to itself": {"$ref": "#"},
    "leads in a circle": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        "$ref": "#/$defs/a",
    },
    "another document": {"$ref": "https://example.com/schema.json"},
}
#: A schema that each wire cannot be held to, and so is told in another way.
INEXPRESSIBLE: dict[str, dict[str, Any]] = {
    "openai_chat": FREE_KEYS,
    "openai_responses": FREE_KEYS,
    "anthropic": FREE_KEYS,
    "gemini": {"not": {"type": "string"}},
}
ORPHAN = {"role": "tool", "tool_call_id": "call_lost", "content": "sunny"}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts) if parts else "Hello."}


def image(**fields: str) -> dict[str, Any]:
    return user({"type": "text", "text": "What is this?"}, {"type": "image", **fields})


def made(row: WireRow, **fields: Any) -> Built:
    return built(generate(**fields), row.model)


def refused(row: WireRow, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        made(row, **fields)
    assert caught.value.kind is ErrorKind.UNSUPPORTED
    assert row.model in str(caught.value)
    return caught.value


@pytest.mark.parametrize("schema", BAD_SCHEMAS.values(), ids=BAD_SCHEMAS)
def test_a_schema_that_checks_nothing_is_refused(row: WireRow, schema: dict[str, Any]) -> None:
    error = refused(row, prompt="hi", schema=schema)
    assert error.code == "schema"
    assert error.message.startswith("schema: ")


def test_a_schema_that_cannot_be_enforced_is_told(row: WireRow) -> None:
    warnings = made(row, prompt="hi", schema=INEXPRESSIBLE[row.name]).warnings
    assert [warning.partition(":")[0] for warning in warnings] == ["schema"]
    assert row.model in warnings[0]


def test_a_schema_that_cannot_be_enforced_still_reaches_the_model(row: WireRow) -> None:
    body = body_of(generate(prompt="hi", schema=INEXPRESSIBLE[row.name]), row.model)
    keyword = "additionalProperties" if row.name != "gemini" else "not"
    assert f'"{keyword}"' in str(body) or f"'{keyword}'" in str(body)


def test_a_schema_that_is_enforced_is_no_warning(row: WireRow) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert made(row, prompt="hi", schema=schema).warnings == ()


def test_a_result_without_its_call_is_dropped_and_told(row: WireRow) -> None:
    messages = [user(), ORPHAN, {"role": "user", "content": "Go on."}]
    sent = made(row, messages=messages, tools=[WEATHER])
    assert any("messages" in w and "'call_lost'" in w for w in sent.warnings)
    assert b"sunny" not in sent.request.content
    assert b"Go on." in sent.request.content


def test_nothing_but_a_result_without_its_call_is_refused(row: WireRow) -> None:
    assert refused(row, messages=[ORPHAN], tools=[WEATHER]).code == "messages"


@pytest.mark.parametrize("media_type", ["image/tiff", "image/svg+xml"])
def test_an_image_type_that_is_not_read_is_refused(row: WireRow, media_type: str) -> None:
    error = refused(row, messages=[image(data="AAAA", media_type=media_type)])
    assert error.code == "messages"
    assert media_type in error.message


def test_an_image_type_inside_a_data_url_is_refused(row: WireRow) -> None:
    error = refused(row, messages=[image(url="data:image/tiff;base64,AAAA")])
    assert error.code == "messages"
    assert "image/tiff" in error.message


def test_an_image_type_in_a_tool_result_is_refused(row: WireRow) -> None:
    called = {
        "role": "assistant",
        "tool_calls": [{"id": "call_a", "name": "weather", "arguments": {}}],
    }
    shown = {
        "role": "tool",
        "tool_call_id": "call_a",
        "content": [{"type": "image", "data": "AAAA", "media_type": "image/tiff"}],
    }
    error = refused(row, messages=[user(), called, shown], tools=[WEATHER])
    assert "image/tiff" in error.message


@pytest.mark.parametrize("media_type", ["image/jpg", "image/jpeg", "IMAGE/JPEG"])
def test_a_jpeg_by_any_name_is_sent_as_one(row: WireRow, media_type: str) -> None:
    sent = made(row, messages=[image(data="AAAA", media_type=media_type)])
    assert b"image/jpeg" in sent.request.content


@pytest.mark.parametrize(
    ("name", "kind", "field"),
    [
        ("nowhere/model", UnknownProvider, "provider: 'nowhere'"),
        ("no-such-family", UnknownModel, "model: 'no-such-family'"),
        ("openai/", UnknownModel, "model: 'openai/'"),
    ],
)
def test_an_unknown_model_is_refused_by_the_client(
    name: str, kind: type[ConfigurationError], field: str
) -> None:
    with pytest.raises(kind) as caught:
        routes_for(generate(prompt="hi", model=name), config(), catalog())
    assert str(caught.value).startswith(field)
