"""Recorded real answers of the Gemini wire read or classify to something sensible.

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

from penstock_schemas.jobs import Embed
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.gemini import GeminiContent
from penstock_worker.providers.protocol import Answer, AnyJob, Call
from tests.providers.gemini_calls import EMBEDDING, FLASH
from tests.providers.wire_calls import call_for, embed, generate

REPOSITORY = Path(__file__).parents[2]
WIRES = ("gemini", "gemini-embed")
MOST_CUTS = 150
SENSIBLE = {
    400: {ErrorKind.INVALID_REQUEST, ErrorKind.AUTHENTICATION, ErrorKind.CONTEXT_LENGTH},
    403: {ErrorKind.PERMISSION, ErrorKind.AUTHENTICATION},
    404: {ErrorKind.MODEL_NOT_FOUND},
    429: {ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED, ErrorKind.REQUEST_EXCEEDS_LIMIT},
}
GEMINI = GeminiContent()


def recordings() -> Iterator[dict[str, Any]]:
    folder = Path(os.environ.get("PENSTOCK_RECORDINGS", REPOSITORY / "../shared/recordings"))
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if (record := json.loads(line))["wire"] in WIRES:
                    yield record


RECORDS = {f"{index}-{record['status']}": record for index, record in enumerate(recordings())}


def having(*, failed: bool, streamed: bool = False) -> list[Any]:
    return [
        pytest.param(record, id=name)
        for name, record in RECORDS.items()
        if (record["status"] >= 400) == failed
        and (failed or bool(record.get("response_sse_text")) == streamed)
    ]


def call_of(record: dict[str, Any]) -> Call:
    if record["wire"] == "gemini":
        return call_for(generate(prompt="hello"), FLASH)
    asked = record["request_json"] or {}
    job: AnyJob = embed(*["hello"] * len(asked.get("requests", [asked])))
    return call_for(job, EMBEDDING)


def content_of(record: dict[str, Any]) -> bytes:
    sse = record.get("response_sse_text")
    return sse.encode() if sse else orjson.dumps(record["response_json"])


def check(answer: Answer, call: Call) -> None:
    assert answer.usage.total_tokens > 0
    if isinstance(call.job, Embed):
        assert len(answer.vectors) == len(call.job.input)
        return
    assert answer.text or answer.tool_calls or answer.finish_reason is FinishReason.LENGTH
    assert answer.finish_reason is not FinishReason.UNKNOWN
    assert answer.usage.output_tokens >= answer.usage.reasoning_tokens
    assert all(made.name and made.arguments is not None for made in answer.tool_calls)


@pytest.mark.parametrize("record", having(failed=False))
def test_a_recorded_answer_is_read(record: dict[str, Any]) -> None:
    call = call_of(record)
    check(GEMINI.parse(call, httpx.Response(200, content=content_of(record))), call)


@pytest.mark.parametrize("record", having(failed=False, streamed=True))
def test_a_recorded_stream_cut_anywhere_gives_one_answer(record: dict[str, Any]) -> None:
    call, content = call_of(record), content_of(record)
    answers = []
    for cut in range(0, len(content) + 1, max(1, len(content) // MOST_CUTS)):
        decoder = GEMINI.decoder(call)
        decoder.feed(content[:cut])
        decoder.feed(content[cut:])
        answers.append(decoder.finish())
    check(answers[0], call)
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("record", having(failed=True))
def test_a_recorded_failure_is_classified(record: dict[str, Any]) -> None:
    status = record["status"]
    response = httpx.Response(status, content=content_of(record))
    error = GEMINI.classify(call_of(record), response)
    assert error.kind in SENSIBLE.get(status, set(ErrorKind))
    assert error.message
