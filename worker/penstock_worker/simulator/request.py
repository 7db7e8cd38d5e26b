"""The simulator's own words for a call: what wires parse into and render from.

A wire turns a provider's body into `SimRequest` or `SimEmbedding`; `answers` turns that into
`SimAnswer`; the wire writes it back in the provider's shape. `Refusal` is the way out at any step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

JsonObject = dict[str, Any]
Finish = Literal["stop", "stop_sequence", "length", "tool_calls"]

CHARACTERS_PER_TOKEN = 4


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


def part_of(body: JsonObject, name: str) -> JsonObject:
    """The object at a key, an empty one where there is none."""
    value: Any = body.get(name)
    return value if is_object(value) else {}


def tokens_of(characters: int) -> int:
    """Simulated token count of so many characters, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


class Refusal(Exception):
    """The simulated provider answers with an error; each wire words it in its own shape.

    `kind` is the provider-neutral reason, `code` an OpenAI-style code, `param` the field at fault.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """A 400 for a request that the real provider would refuse too."""
    return Refusal(400, "invalid_request", message, param=param, code=code)


@dataclass(frozen=True, slots=True)
class SimTool:
    """A tool that the caller offers."""

    name: str
    description: str
    schema: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class SimRequest:
    """One chat call, whichever wire it came by.

    `prompt` is all that a model would read, in the provider's caching order (tools, system,
    messages); `breakpoints` are the character offsets in it that the caller marked for caching.
    `user_text` is the last user turn, `tool_results` what came back after it. `forced_tool` names
    the one tool to call, `must_call` asks for any of them; without `parallel` one at most is
    called.
    """

    model: str
    prompt: str
    user_text: str
    system: str = ""
    tools: tuple[SimTool, ...] = ()
    forced_tool: str | None = None
    must_call: bool = False
    parallel: bool = True
    schema: JsonObject | None = None
    json_mode: bool = False
    tool_results: tuple[str, ...] = ()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    breakpoints: tuple[int, ...] = ()
    cache_ttl: Literal["5m", "1h"] = "5m"


@dataclass(frozen=True, slots=True)
class SimEmbedding:
    """One embeddings call. `dimensions` None means the model's own."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    base64: bool = False


@dataclass(frozen=True, slots=True)
class SimUsage:
    """Token counts; `input_tokens` contains cache reads and writes."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class SimToolCall:
    """A tool call that the simulated model makes; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class SimAnswer:
    """What the simulated model said."""

    text: str
    finish: Finish
    usage: SimUsage
    tool_calls: tuple[SimToolCall, ...] = field(default=())
    stop_sequence: str | None = None
