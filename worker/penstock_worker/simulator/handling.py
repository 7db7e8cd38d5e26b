"""The life of one simulated call: read, count, fault, parse, limit, answer, wait, send.

Limits are charged when a call arrives, and what they or the wire refuse is answered at once. A
fault that answers with an error comes after the usual latency and is not charged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import orjson
from aiohttp import web

from . import delivery
from .answers import answer
from .caching import PromptCache
from .counting import Counts, ProviderCounts, Snapshot
from .embeddings import dimensions_of, embed
from .faults import Fault, Faults, refusal_of
from .latency import Latency
from .limit_headers import retry_headers
from .limits import Limits
from .request import (
    JsonObject,
    Refusal,
    SimAnswer,
    SimRequest,
    SimUsage,
    invalid,
    is_object,
    tokens_of,
)
from .wires import wire_of
from .wires.wire import Operation, Wire, WireCall, model_in


@dataclass(frozen=True, slots=True)
class State:
    """What all calls share."""

    faults: Faults
    limits: Limits
    latency: Latency
    counts: Counts
    cache: PromptCache
    canned: bool

    def snapshot(self) -> Snapshot:
        """All counts so far, those of strangers included."""
        strangers = self.limits.strangers(now_s=time.monotonic())
        return self.counts.snapshot(
            {
                provider: {"taken": stranger.taken, "refused": stranger.refused}
                for provider, stranger in strangers.items()
            }
        )

    def reset(self) -> None:
        """Start the counts and the prompt cache again."""
        self.counts.reset()
        self.cache.clear()
        self.limits.restart_strangers(now_s=time.monotonic())


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A call that was read and counted, on its way to an answer whose headers are gathered."""

    request: web.BaseRequest
    raw: bytes
    wire: Wire
    operation: Operation
    provider: str
    path: str
    key: str
    counts: ProviderCounts
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Reply:
    """What to send: a body, or the events of a stream."""

    body: bytes
    headers: dict[str, str]
    status: int = 200
    events: tuple[bytes, ...] = ()


_request_ids = count(1)
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
_CANNED_OUTPUT_TOKENS = 1


async def handle_call(
    request: web.BaseRequest, provider: str, path: str, state: State
) -> web.StreamResponse:
    """Answer a request to a provider's wire."""
    wire = wire_of(provider, path)
    operation = wire.route(request.method, path)
    if operation is None:
        message = f"Invalid URL ({request.method} {path})"
        return _refused(wire, provider, Refusal(404, "not_found", message), {})
    if operation == "models":
        return _models(request, wire, provider)
    key = _key_of(request.headers) if state.faults else ""
    if state.faults and state.faults.take_unread(provider, key=key) is not None:
        state.counts.of(provider).unread += 1
        return delivery.drop(request)
    raw = await _read(request)
    counts = state.counts.begin(provider, request.headers.get("x-client-request-id"))
    status: int | None = None
    try:
        headers = {wire.request_id_header: f"req_sim{next(_request_ids)}"}
        arrival = _Arrival(request, raw, wire, operation, provider, path, key, counts, headers)
        response = await _answer(arrival, state)
        if request.transport is not None and not request.transport.is_closing():
            status = response.status
        return response
    finally:
        counts.end(status)


def _key_of(headers: Mapping[str, str]) -> str:
    """The API key of a call, in whatever header it came."""
    return next((headers[name] for name in _KEY_HEADERS if name in headers), "")


async def _read(request: web.BaseRequest) -> bytes:
    """The whole body, however large; small ones, which come in one piece, cheaply."""
    content = request.content
    first = await content.readany()
    return first if content.at_eof() else first + await content.read()


def _models(request: web.BaseRequest, wire: Wire, provider: str) -> web.Response:
    try:
        wire.authorise(provider, request.headers)
    except Refusal as refusal:
        return _refused(wire, provider, refusal, {})
    return delivery.whole(wire.render_models(provider))


async def _answer(arrival: _Arrival, state: State) -> web.StreamResponse:
    provider, headers = arrival.provider, arrival.headers
    try:
        if not state.canned:
            arrival.wire.authorise(provider, arrival.request.headers)
        body = {} if state.canned else _body(arrival.raw)
        model = model_in(arrival.path) or body.get("model")
        fault = state.faults.take(provider, model, key=arrival.key) if state.faults else None
        if fault is not None and fault.kind == "drop_after":
            return delivery.drop(arrival.request)
        delay_s = state.latency.next_s(provider)
        if fault is not None and fault.kind == "hang":
            delay_s += fault.delay_s
        if fault is not None and (failure := refusal_of(fault, provider)) is not None:
            await _wait(delay_s)
            return _faulty(arrival.wire, fault, failure, headers)
        reply = _reply(arrival, body, state, fault)
    except Refusal as refusal:
        return _refused(arrival.wire, provider, refusal, headers)
    await _wait(delay_s)
    return await _deliver(arrival.request, reply, fault)


async def _wait(delay_s: float) -> None:
    if delay_s > 0:
        await asyncio.sleep(delay_s)


def _body(raw: bytes) -> JsonObject:
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid("We could not parse the JSON body of your request.") from error
    if not is_object(body):
        raise invalid("The JSON body of your request must be an object.")
    return body


def _reply(arrival: _Arrival, body: JsonObject, state: State, fault: Fault | None) -> _Reply:
    if state.canned:
        return _canned(arrival, state)
    call = WireCall(arrival.provider, arrival.path, arrival.request.headers, body)
    try:
        if arrival.operation == "embed":
            return _embeddings(arrival, call, state)
        return _chat(arrival, call, state, fault)
    except (TypeError, AttributeError, KeyError) as error:
        raise invalid(f"Invalid type in the request: {error}") from error


def _canned(arrival: _Arrival, state: State) -> _Reply:
    """A fixed answer; the request is read only where its tokens are limited."""
    wire, tokens = arrival.wire, 0
    if state.limits.limits_tokens(arrival.provider):
        headers = arrival.request.headers
        call = WireCall(arrival.provider, arrival.path, headers, _body(arrival.raw))
        if arrival.operation == "chat":
            request = wire.parse_chat(call)
            tokens = _charge(arrival, state, request, _CANNED_OUTPUT_TOKENS)
        elif wire.parse_embed is not None:
            tokens = sum(tokens_of(len(text)) for text in wire.parse_embed(call).inputs)
    _admit(arrival, state, tokens)
    return _Reply(wire.canned.get(arrival.operation, b"{}"), arrival.headers)


def _chat(arrival: _Arrival, call: WireCall, state: State, fault: Fault | None) -> _Reply:
    wire, counts = arrival.wire, arrival.counts
    request = wire.parse_chat(call)
    broken = fault is not None and fault.kind == "schema_violation"
    said = _admitted(arrival, state, request, break_schema=broken)
    counts.input_tokens += said.usage.input_tokens
    counts.output_tokens += said.usage.output_tokens
    if request.stream:
        return _Reply(b"", arrival.headers, events=tuple(wire.stream_chat(request, said)))
    return _Reply(wire.render_chat(request, said), arrival.headers)


def _admitted(
    arrival: _Arrival, state: State, request: SimRequest, *, break_schema: bool
) -> SimAnswer:
    """The answer to a call that passed the limits; one that they refuse leaves no cache behind."""
    limits, wire = state.limits, arrival.wire
    if limits and limits.counted(arrival.provider) == "sum":
        plain = SimUsage(tokens_of(len(request.prompt)))
        said = answer(request, plain, break_schema=break_schema)
        output_tokens = said.usage.output_tokens
        _admit(arrival, state, _charge(arrival, state, request, output_tokens))
        usage = wire.input_usage(state.cache, arrival.provider, request)
        return replace(said, usage=replace(usage, output_tokens=output_tokens))
    if limits:
        _admit(arrival, state, _charge(arrival, state, request, 0))
    usage = wire.input_usage(state.cache, arrival.provider, request)
    return answer(request, usage, break_schema=break_schema)


def _charge(arrival: _Arrival, state: State, request: SimRequest, output_tokens: int) -> int:
    """Tokens that a call takes from the limit, by what its provider is set to count."""
    input_tokens = tokens_of(len(request.prompt))
    match state.limits.counted(arrival.provider):
        case "max":
            return max(request.max_tokens or 0, input_tokens)
        case "input":
            return input_tokens
        case "sum":
            return input_tokens + output_tokens
        case None:
            return arrival.wire.limit_charge(request)


def _embeddings(arrival: _Arrival, call: WireCall, state: State) -> _Reply:
    wire = arrival.wire
    if wire.parse_embed is None or wire.render_embed is None:
        raise Refusal(404, "not_found", "This provider has no embeddings.")
    request = wire.parse_embed(call)
    input_tokens = sum(tokens_of(len(text)) for text in request.inputs)
    _admit(arrival, state, input_tokens)
    arrival.counts.input_tokens += input_tokens
    dimensions = request.dimensions or dimensions_of(request.model)
    vectors = [embed(text, dimensions) for text in request.inputs]
    return _Reply(wire.render_embed(request, vectors, input_tokens), arrival.headers)


def _admit(arrival: _Arrival, state: State, tokens: int) -> None:
    """Pass the provider's limits or raise the refusal; the limits' headers go out either way."""
    if not state.limits:
        return
    verdict = state.limits.admit(
        arrival.provider, tokens, now_s=time.monotonic(), wall_s=time.time()
    )
    arrival.headers.update(verdict.headers)
    if verdict.refusal is not None:
        raise verdict.refusal


def _refused(wire: Wire, provider: str, refusal: Refusal, headers: dict[str, str]) -> web.Response:
    return delivery.whole(
        wire.render_error(refusal),
        status=refusal.status,
        headers={**headers, **retry_headers(provider, refusal.retry_after_s)},
    )


def _faulty(wire: Wire, fault: Fault, refusal: Refusal, headers: dict[str, str]) -> web.Response:
    own_body = fault.kind == "status" and fault.body is not None
    body = (fault.body or "").encode() if own_body else wire.render_error(refusal)
    return delivery.whole(body, status=refusal.status, headers={**headers, **fault.headers})


async def _deliver(
    request: web.BaseRequest, reply: _Reply, fault: Fault | None
) -> web.StreamResponse:
    kind = None if fault is None else fault.kind
    over_s = fault.delay_s if fault is not None and kind == "slow" else 0.0
    events = reply.events
    if events:
        if kind == "truncated":
            events = events[: len(events) // 2]
        elif kind == "invalid_json":
            events = (events[0], b'data: {"simulated": tru\n\n', *events[1:])
        return await delivery.streamed(request, events, headers=reply.headers, over_s=over_s)
    body = reply.body
    if kind == "invalid_json":
        body = body[: len(body) * 2 // 3] + b"<"
    elif kind == "truncated":
        return await delivery.truncated(request, body, headers=reply.headers)
    elif kind == "slow":
        return await delivery.slow(request, body, headers=reply.headers, over_s=over_s)
    return delivery.whole(body, status=reply.status, headers=reply.headers)
