"""What reading one answer costs on each wire: a whole one of 2 KB, and one delta of a stream.

No servers and no network: the bytes are here, and what is measured ends in the normalised answer.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import httpx
import orjson

from benchmarks.figures import Figure
from benchmarks.stand import Stand
from penstock_schemas.catalog import Wire, catalog
from penstock_schemas.jobs import Generate
from penstock_worker.providers.protocol import Answer, Call
from penstock_worker.providers.registry import adapter_for

_ANSWER_US, _DELTA_US = 60, 10
_ANSWER_BYTES = 2_048
_DELTAS = 400
#: Short rounds, and many: the best one is one that nothing else disturbed.
_REPEATS, _ROUNDS, _ROUNDS_FULL = 20, 60, 300
_WORD = "penstock "


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Microseconds to parse an answer, and a delta, of each wire: the best of several rounds."""
    del stand
    rounds = _ROUNDS_FULL if full else _ROUNDS
    figures: list[Figure] = []
    for wire in get_args(Wire):
        sample = _sample(wire)
        figures += [
            Figure(
                bench="wires",
                name=f"an answer of 2 KB, {wire}",
                value=_best_us(sample.parse, rounds, _REPEATS),
                unit="µs",
                goal=_ANSWER_US,
            ),
            Figure(
                bench="wires",
                name=f"a streamed delta, {wire}",
                value=_best_us(sample.follow, rounds, 1) / _DELTAS,
                unit="µs",
                goal=_DELTA_US,
            ),
        ]
    return figures


@dataclass(frozen=True, slots=True)
class _Sample:
    """A call, its answer as a body, and the same as the pieces of a stream, one delta each."""

    call: Call
    body: bytes
    pieces: tuple[bytes, ...]

    def parse(self) -> Answer:
        response = httpx.Response(200, content=self.body)
        return adapter_for(self.call.provider, self.call.model).parse(self.call, response)

    def follow(self) -> Answer:
        decoder = adapter_for(self.call.provider, self.call.model).decoder(self.call)
        for piece in self.pieces:
            decoder.feed(piece)
        return decoder.finish()


def _sample(wire: Wire) -> _Sample:
    ref = _MODELS[wire]
    model = catalog().resolve(ref)
    provider = catalog().provider(model.provider)
    call = Call(
        job=Generate(workspace="bench", prompt="Say something."),
        provider=provider,
        model=model,
        base_url=provider.base_url,
        request_id="0190a0b0-0000-7000-8000-00000000abcd",
    )
    form = _FORMS[wire]
    empty = len(orjson.dumps(form("")))
    text = (_WORD * _ANSWER_BYTES)[: _ANSWER_BYTES - empty]
    begun, delta, ended = _STREAMS[wire]
    pieces = (begun, *[delta] * _DELTAS, *ended(_WORD * _DELTAS))
    sample = _Sample(call, orjson.dumps(form(text)), tuple(map(_event, pieces)))
    _check(sample, text)
    return sample


def _check(sample: _Sample, text: str) -> None:
    """Raises AssertionError where the sample is not read as it was meant."""
    if sample.parse().text != text or sample.follow().text != _WORD * _DELTAS:
        raise AssertionError(f"the sample of {sample.call.model.ref} is not read as it was written")


def _best_us(work: Callable[[], Answer], rounds: int, repeats: int) -> float:
    """The best round of `repeats`, per repeat."""
    took_s: list[float] = []
    gc.collect()
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(repeats):
            work()
        took_s.append(time.perf_counter() - began)
    return min(took_s) / repeats * 1e6


def _event(event: dict[str, Any]) -> bytes:
    name = b"event: " + event["type"].encode() + b"\n" if "type" in event else b""
    return name + b"data: " + orjson.dumps(event) + b"\n\n"


_MODELS: dict[Wire, str] = {
    "openai_chat": "openai/gpt-4o-mini",
    "openai_responses": "openai/gpt-6-sol",
    "anthropic": "anthropic/claude-haiku-4-5-20251001",
    "gemini": "google/gemini-2.5-flash",
}

_CHAT_USAGE = {"prompt_tokens": 100, "completion_tokens": 400, "total_tokens": 500}
_USAGE = {"input_tokens": 100, "output_tokens": 400}
_GEMINI_USAGE = {"promptTokenCount": 100, "candidatesTokenCount": 400, "totalTokenCount": 500}


def _chat(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "chatcmpl-1", "model": "m", "choices": choices, "usage": _CHAT_USAGE}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    kind = "chat.completion.chunk"
    return {"id": "chatcmpl-1", "object": kind, "model": "m", "choices": [choice], "usage": None}


def _responses(text: str) -> dict[str, Any]:
    body = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
    return {**body, "model": "m", "output": [_item(text)], "usage": _USAGE}


def _item(text: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return {**item, "content": content}


def _responses_end(text: str) -> list[dict[str, Any]]:
    done = {"type": "response.output_item.done", "output_index": 0, "item": _item(text)}
    return [done, {"type": "response.completed", "response": _responses(text)}]


def _anthropic(text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if text else []
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": content}
    return {**message, "model": "m", "stop_reason": "end_turn", "usage": _USAGE}


def _gemini(text: str, finish: str | None = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": _GEMINI_USAGE, "modelVersion": "m"}


_FORMS: dict[Wire, Callable[[str], dict[str, Any]]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}

#: The first event of a stream, one delta, and the events that end it, from its whole text.
_STREAMS: dict[
    Wire, tuple[dict[str, Any], dict[str, Any], Callable[[str], list[dict[str, Any]]]]
] = {
    "openai_chat": (
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": _WORD}),
        lambda _: [_chunk({}, "stop"), {"choices": [], "usage": _CHAT_USAGE}],
    ),
    "openai_responses": (
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**_item(""), "content": [], "status": "in_progress"},
        },
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "item_id": "msg_1",
            "content_index": 0,
            "delta": _WORD,
        },
        _responses_end,
    ),
    "anthropic": (
        {"type": "message_start", "message": {**_anthropic(""), "stop_reason": None}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": _WORD},
        },
        lambda _: [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE},
            {"type": "message_stop"},
        ],
    ),
    "gemini": (_gemini("", None), _gemini(_WORD, None), lambda _: [_gemini("", "STOP")]),
}
