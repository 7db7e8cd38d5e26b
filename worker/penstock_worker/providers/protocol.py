"""What a wire adapter is: a few pure methods between a job and HTTP.

`build` turns a call into an `httpx.Request`, `parse` turns a success into an `Answer`, `classify`
turns anything else into a `ProviderError`. A streamed answer goes through a `StreamDecoder`, which
takes the body's bytes as they come and ends in the same `Answer`. Adapters hold no state and do no
I/O; an OpenAI-compatible provider is one row of the catalogue, not an adapter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from penstock_client.spent import Repair as Repair
from penstock_schemas.catalog import Model, Provider
from penstock_schemas.deltas import Delta as Delta
from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_schemas.status import FinishReason
from penstock_schemas.usage import NO_USAGE, Usage

AnyJob = Generate | Reason | Extract | Classify | Embed


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt, ready to be built: the job, where it goes, and with which key.

    `max_tokens` is the limit for this attempt: the job's own, or larger after a cut-off answer.
    `request_id` goes out as `x-client-request-id`, so that a provider's logs can be matched.
    """

    job: AnyJob
    provider: Provider
    model: Model
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    request_id: str
    max_tokens: int | None = None
    stream: bool = False
    repair: Repair | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A request, and what was dropped from the job because the wire has no place for it."""

    request: httpx.Request
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A parsed success, normalised. `output` is the structured value where one was asked for."""

    text: str | None = None
    output: Any = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: tuple[ReasoningPart, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    usage: Usage = NO_USAGE
    finish_reason: FinishReason = FinishReason.STOP
    warnings: tuple[str, ...] = ()


class StreamDecoder(Protocol):
    """Reads one streamed answer. Holds the state of that stream and does no I/O."""

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes add; they may be cut anywhere.

        Raises ProviderError when the provider reports an error inside the stream.
        """
        ...

    def finish(self) -> Answer:
        """The whole answer, the same as without streaming.

        Raises ProviderError(INTERRUPTED, possibly billed) when the stream ended before its end.
        """
        ...


class Adapter(Protocol):
    """One provider wire."""

    def build(self, call: Call) -> Built:
        """The request. Raises ProviderError(UNSUPPORTED) for what would change meaning."""
        ...

    def parse(self, call: Call, response: httpx.Response) -> Answer:
        """The answer of a 2xx. Raises ProviderError(MALFORMED_ANSWER) when it is none."""
        ...

    def decoder(self, call: Call) -> StreamDecoder:
        """A decoder for the streamed answer to a call that was built with `stream`."""
        ...

    def classify(self, call: Call, response: httpx.Response) -> ProviderError:
        """What a response that is not a success means."""
        ...
