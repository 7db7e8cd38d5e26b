"""Recorded real Responses answers, whole and streamed, read to something sensible.

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
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.openai_responses import OpenAIResponses
from tests.providers.responses_wire import SOL, decoded, sol_call
from tests.providers.wire_calls import call_for, generate

FOLDER = Path(
    os.environ.get("PENSTOCK_RECORDINGS", Path(__file__).parents[2] / "../shared/recordings")
)
#: What a recorded failure may mean, by status.
SENSIBLE = {
    400: {ErrorKind.INVALID_REQUEST, ErrorKind.MODEL_NOT_FOUND, ErrorKind.AUTHENTICATION},
    401: {ErrorKind.AUTHENTICATION},
    404: {ErrorKind.MODEL_NOT_FOUND},
    429: {ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED},
}


def recordings() -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.glob("*.jsonl")) if FOLDER.is_dir() else ():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record["wire"] == "openai-responses":
                    yield record


def stream_in(record: dict[str, Any]) -> bytes:
    return record.get("response_sse_text", "").encode()


def whole_in(record: dict[str, Any]) -> dict[str, Any]:
    return record.get("response_json") or {}


def test_recorded_answers_are_read() -> None:
    for record in recordings():
        body = whole_in(record)
        if record["status"] >= 400 or body.get("object") != "response":
            continue
        call = call_for(generate(prompt="hi"), SOL)
        response = httpx.Response(200, content=orjson.dumps(body))
        answer = OpenAIResponses().parse(call, response)
        assert answer.text or answer.tool_calls, record["id"]
        assert answer.usage.input_tokens == body["usage"]["input_tokens"], record["id"]
        assert all(made.arguments is not None for made in answer.tool_calls), record["id"]


def test_recorded_streams_give_the_answer_of_their_last_event_however_cut() -> None:
    for record in recordings():
        data = stream_in(record)
        if not data or record["flags"]["error_in_stream"]:
            continue
        call = sol_call()
        deltas, answer = decoded(call, data)
        assert (deltas, answer) == decoded(call, *(data[i : i + 1] for i in range(len(data))))
        assert "".join(delta.text for delta in deltas) == (answer.text or ""), record["id"]
        for index, made in enumerate(answer.tool_calls):
            pieces = "".join(d.arguments for d in deltas if d.tool_index == index)
            assert json.loads(pieces or "{}") == made.arguments, record["id"]


def test_recorded_streams_without_their_end_are_interrupted() -> None:
    for record in recordings():
        data = stream_in(record)
        if not data or record["flags"]["error_in_stream"]:
            continue
        end = data.rindex(b"data: {")
        with pytest.raises(ProviderError) as caught:
            decoded(sol_call(), data[: end + 20])
        assert caught.value.kind is ErrorKind.INTERRUPTED, record["id"]


def test_recorded_errors_in_streams_are_classified() -> None:
    for record in recordings():
        if record["flags"]["error_in_stream"]:
            with pytest.raises(ProviderError) as caught:
                decoded(sol_call(), stream_in(record))
            assert caught.value.kind is not ErrorKind.INTERRUPTED, record["id"]


def test_recorded_failures_are_classified() -> None:
    for record in recordings():
        if record["status"] >= 400:
            response = httpx.Response(record["status"], content=orjson.dumps(whole_in(record)))
            error = OpenAIResponses().classify(sol_call(), response)
            assert error.kind in SENSIBLE.get(record["status"], set(ErrorKind)), record["id"]
            assert error.message, record["id"]
