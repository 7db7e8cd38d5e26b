"""Recorded real answers of these wires read or classify to something sensible.

The recordings are not part of the repository; without them there is nothing to check here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Embed
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.protocol import AnyJob, Call
from penstock_worker.providers.registry import adapter_for
from tests.providers.wire_calls import call_for, embed, generate

REPOSITORY = Path(__file__).parents[2]
MODELS = {
    "openai-chat": "openai/gpt-4o-mini",
    "openai-embeddings": "openai/text-embedding-3-small",
    "anthropic-messages": "anthropic/claude-haiku-4-5-20251001",
}
#: What a recorded failure may mean, by status.
SENSIBLE = {
    400: {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.CONTEXT_LENGTH,
        ErrorKind.INVALID_OUTPUT,
        ErrorKind.CONTENT_FILTER,
        ErrorKind.QUOTA_EXHAUSTED,
        ErrorKind.AUTHENTICATION,
        ErrorKind.MODEL_NOT_FOUND,
    },
    401: {ErrorKind.AUTHENTICATION},
    402: {ErrorKind.QUOTA_EXHAUSTED},
    404: {ErrorKind.MODEL_NOT_FOUND},
    429: {ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED, ErrorKind.REQUEST_EXCEEDS_LIMIT},
}

#: What a recorded success may turn out to be instead of an answer.
NO_ANSWER = (ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER)


def recordings() -> Iterator[dict[str, Any]]:
    folder = Path(os.environ.get("PENSTOCK_RECORDINGS", REPOSITORY / "../shared/recordings"))
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record["wire"] in MODELS and record.get("response_json") is not None:
                    yield record


def call_of(record: dict[str, Any]) -> Call:
    """A call whose answer the record could be: what was sent matters little for reading."""
    job: AnyJob = generate(prompt="hello")
    if record["wire"] == "openai-embeddings":
        given = (record["request_json"] or {}).get("input")
        count = len(given) if isinstance(given, list) else 1
        job = embed(*["hello"] * count)
    return call_for(job, MODELS[record["wire"]])


def response_of(record: dict[str, Any]) -> httpx.Response:
    return httpx.Response(record["status"], content=orjson.dumps(record["response_json"]))


def check_answer(record: dict[str, Any], call: Call) -> None:
    answer = adapter_for(call.provider).parse(call, response_of(record))
    if isinstance(call.job, Embed):
        assert len(answer.vectors) == len(call.job.input)
        assert all(len(vector) > 1 for vector in answer.vectors)
    else:
        assert answer.text or answer.tool_calls or answer.usage.output_tokens
        assert answer.usage.output_tokens > 0
    assert answer.usage.total_tokens > 0
    assert isinstance(answer.finish_reason, FinishReason)
    if answer.tool_calls:
        assert answer.finish_reason in (FinishReason.TOOL_CALLS, FinishReason.LENGTH)
        assert all(made.id and made.arguments is not None for made in answer.tool_calls)


@pytest.mark.parametrize("wire", MODELS)
def test_recorded_answers_are_read(wire: str) -> None:
    for record in recordings():
        if record["wire"] != wire or record["status"] >= 400:
            continue
        data = record["response_json"].get("data") or [{}]
        if wire == "openai-embeddings" and "embedding" not in data[0]:
            continue  # the recording itself was cut
        try:
            check_answer(record, call_of(record))
        except (ProviderError, AssertionError) as error:
            if getattr(error, "kind", None) in NO_ANSWER:
                continue
            raise AssertionError(f"record {record['id']} of {record['provider']}") from error


@pytest.mark.parametrize("wire", MODELS)
def test_recorded_failures_are_classified(wire: str) -> None:
    for record in recordings():
        if record["wire"] != wire or record["status"] < 400:
            continue
        call = call_of(record)
        error = adapter_for(call.provider).classify(call, response_of(record))
        assert error.kind in SENSIBLE.get(record["status"], set(ErrorKind)), record["id"]
        assert error.message, record["id"]
