"""The direct path: one call to a provider with nothing of Penstock in between.

For security-critical calls. No queue, no cache, no retry, no other model, no Redis, no Postgres;
the key comes from the environment or a `.env` file. It fails closed: whatever goes wrong gives an
error without a text, never an exception, and never an answer that is half there. The call is made
by `penstock_worker.direct`, which is found through the entry-point group `penstock.direct`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Literal

#: Where the distribution that talks to providers says how to make the call.
GROUP: Final = "penstock.direct"
#: Everything together: connection, request, answer.
TIMEOUT_S: Final = 60.0
NOT_INSTALLED: Final = (
    "calls to providers are made by penstock-worker, which is not installed here: "
    "`pip install penstock-worker`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCall:
    """What to ask. `model` is `provider/model`, or a name whose provider is known by it.

    Give `prompt` or `messages`. `schema` (a pydantic model or a JSON Schema) or `json` ask for
    structured output. `timeout_s` bounds the call as a whole. `agent` and `task_type` are for the
    security log alone. A `.env` file is looked for in `folder`, by default the working directory.
    """

    model: str
    prompt: str | None = field(default=None, repr=False)
    messages: Sequence[Any] | None = field(default=None, repr=False)
    system: str | None = field(default=None, repr=False)
    schema: Any = None
    json: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    timeout_s: float = TIMEOUT_S
    agent: str | None = None
    task_type: str | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResult:
    """The answer to a direct call, or why there is none.

    With status `error` neither `text` nor `output` is there and `reason` says why; tokens and
    `cost_usd` are still those of the call, where it is known to have been made. `cost_usd` None is
    not known, which is not free. `output` is the structured answer, an instance of the model that
    was given as schema. `simulated`: it did not come from a real provider.
    """

    status: Literal["success", "error"]
    text: str | None = field(default=None, repr=False)
    output: Any = field(default=None, repr=False)
    reason: str | None = None
    model: str | None = None
    provider: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: int = 0
    cost_usd: Decimal | None = None
    warnings: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.status == "success"


Implementation = Callable[[DirectCall], Awaitable[DirectResult]]


async def call_direct(
    prompt: str | None = None,
    *,
    model: str,
    messages: Sequence[Any] | None = None,
    system: str | None = None,
    schema: type[Any] | Mapping[str, Any] | None = None,
    json: bool = False,
    max_tokens: int | None = None,
    temperature: float | None = None,
    timeout_s: float = TIMEOUT_S,
    agent: str | None = None,
    task_type: str | None = None,
) -> DirectResult:
    """Ask a model once, past everything; see `DirectCall` for what the arguments mean.

    Never raises, but for the caller's own cancellation: whatever is wrong, in the arguments, the
    configuration, the network or the answer, is a result with status `error`. A cut-off, refused or
    filtered answer is an error, and so is one that does not fit the schema. Writes one line to the
    logger `penstock.security`, with neither prompt nor answer.
    """
    asked = DirectCall(
        model=model,
        prompt=prompt,
        messages=messages,
        system=system,
        schema=schema,
        json=json,
        max_tokens=max_tokens,
        temperature=temperature,
        timeout_s=timeout_s,
        agent=agent,
        task_type=task_type,
    )
    try:
        call = _implementation()
        if call is None:
            return DirectResult(status="error", reason=NOT_INSTALLED, model=model)
        return await call(asked)
    except Exception as error:  # noqa: BLE001 - it fails closed
        return DirectResult(status="error", reason=f"{type(error).__name__}: {error}", model=model)


def _implementation() -> Implementation | None:
    """What makes the call; None where nothing is installed that does."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return found[0].load() if found else None
