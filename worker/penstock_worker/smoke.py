"""A smoke test of a credential: one tiny call to a provider's cheapest model, before real work.

A worker makes it when it starts, and `penstock smoke` on demand. It goes the way of every call,
through adapter and sender, but past the queue: nothing is recorded, limited or retried.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import get_args

import httpx

from penstock_schemas.catalog import Catalog, Model, Provider, SizeCategory
from penstock_schemas.errors import PenstockError, ProviderError
from penstock_schemas.jobs import Embed, Generate
from penstock_schemas.pricing import cost_usd
from penstock_schemas.status import ErrorKind
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.credentials import Access
from penstock_worker.execute import SIMULATED_HEADER
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.http import Sender, Timeout, possibly_sent
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.registry import adapter_for

PROMPT = "ping"
MAX_TOKENS = 16
#: Models that think first would spend the smaller limit on thought and answer with an error.
REASONING_MAX_TOKENS = 512
TIMEOUT_S = 15.0
_CONNECT_S = 5.0
_WORKSPACE = "penstock"
_SIZES: tuple[str, ...] = get_args(SizeCategory)
#: Kinds of a failed answer that a provider only gives to a credential that works.
_ANSWERED = frozenset((ErrorKind.LENGTH, ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER))


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeResult:
    """How a smoke test went. `ok`: the provider answered this credential.

    `model` is the one that was asked, None where the provider has none to ask. `kind`, `message`
    and `error` tell why it is not ok; `cost_usd` is None where no price is known.
    """

    ok: bool
    provider: str
    model: str | None
    kind: ErrorKind | None = None
    message: str = ""
    duration_ms: int = 0
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    simulated: bool = False
    error: ProviderError | None = None


def cheapest_model(models: Catalog, provider: str, *, today: date) -> Model | None:
    """The active model of a provider that costs least for a word in and a word out.

    A chat model, unless the provider has embeddings alone; by price, then size. Models without a
    known price come last. Where none is listed it is the provider's default model, if it has one.
    """
    listed = [model for model in models.models_of(provider) if model.is_active(today)]
    chat = [model for model in listed if model.kind == "chat"]
    if listed:
        return min(chat or listed, key=_dearness)
    if models.provider(provider).default_model is None:
        return None
    try:
        return models.resolve(provider)
    except PenstockError:
        return None


def _dearness(model: Model) -> tuple[bool, Decimal, int, str]:
    prices = (model.input_usd_per_mtok, model.output_usd_per_mtok)
    known = [price for price in prices if price is not None]
    return (
        len(known) < len(prices),
        sum(known, Decimal()),
        _SIZES.index(model.size_category),
        model.name,
    )


async def smoke_test(
    sender: Sender,
    models: Catalog,
    *,
    provider: Provider,
    access: Access,
    model: Model | None = None,
    timeout_s: float = TIMEOUT_S,
) -> SmokeResult:
    """Call `model`, or the provider's cheapest, with this access. Never raises for what providers
    or the network do; takes `timeout_s` at most."""
    model = model or cheapest_model(models, provider.name, today=datetime.now(UTC).date())
    if model is None:
        nothing = f"the catalogue has no active model of {provider.name}; name one with --model"
        return SmokeResult(ok=False, provider=provider.name, model=None, message=nothing)
    return await _ask(sender, call_of(provider, model, access), timeout_s)


def call_of(provider: Provider, model: Model, access: Access) -> Call:
    """The call of a smoke test: a word to complete, or to embed."""
    job = (
        Embed(workspace=_WORKSPACE, input=(PROMPT,))
        if model.kind == "embedding"
        else Generate(workspace=_WORKSPACE, prompt=PROMPT)
    )
    return Call(
        job=job,
        provider=provider,
        model=model,
        base_url=access.base_url,
        api_key=access.api_key,
        request_id=f"smoke-{secrets.token_hex(8)}:1",
        max_tokens=REASONING_MAX_TOKENS if model.reasoning else MAX_TOKENS,
    )


async def _ask(sender: Sender, call: Call, timeout_s: float) -> SmokeResult:
    adapter = adapter_for(call.provider, call.model)
    timeout = Timeout(connect_s=min(_CONNECT_S, timeout_s), read_s=timeout_s, total_s=timeout_s)
    started_at = time.monotonic()
    usage, error, simulated = NO_USAGE, None, False
    try:
        built = adapter.build(call)
        response = await sender.send(built.request, timeout=timeout)
        simulated = SIMULATED_HEADER in response.headers
        if response.is_success:
            usage = adapter.parse(call, response).usage
        else:
            error = adapter.classify(call, response)
    except InvalidAnswer as invalid:
        usage, error = invalid.usage, invalid
    except ProviderError as failure:
        error = failure
    except httpx.HTTPError as broken:
        error = _of_the_wire(call, broken)
    return SmokeResult(
        ok=error is None or error.kind in _ANSWERED,
        provider=call.provider.name,
        model=call.model.ref,
        kind=error and error.kind,
        message=error.message if error else "",
        duration_ms=round((time.monotonic() - started_at) * 1000),
        usage=usage,
        cost_usd=cost_usd(call.model, usage),
        simulated=simulated,
        error=error,
    )


def _of_the_wire(call: Call, broken: httpx.HTTPError) -> ProviderError:
    sent = possibly_sent(broken)
    return ProviderError(
        ErrorKind.INTERRUPTED if sent else ErrorKind.CONNECT_ERROR,
        str(broken) or type(broken).__name__,
        provider=call.provider.name,
        possibly_billed=sent,
    )
