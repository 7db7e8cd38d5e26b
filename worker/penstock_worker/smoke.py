"""A smoke test of a credential: one tiny call to a provider's cheapest model, before real work.

A worker makes it when it starts, and `penstock smoke` on demand. It goes the way of every call,
through adapter and sender, but past the queue: nothing is recorded, limited or retried.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import httpx

from penstock_schemas.canary import ANSWERED, canary_job, canary_tokens, cheapest_model
from penstock_schemas.catalog import Catalog, Model, Provider
from penstock_schemas.errors import ProviderError
from penstock_schemas.pricing import cost_usd
from penstock_schemas.status import ErrorKind
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.credentials import Access
from penstock_worker.execute import SIMULATED_HEADER
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.providers.http import Sender, Timeout, possibly_sent
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.registry import adapter_for

TIMEOUT_S = 15.0
_CONNECT_S = 5.0
_WORKSPACE = "penstock"


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
    return Call(
        job=canary_job(model, workspace=_WORKSPACE),
        provider=provider,
        model=model,
        base_url=access.base_url,
        api_key=access.api_key,
        request_id=f"smoke-{secrets.token_hex(8)}:1",
        max_tokens=canary_tokens(model),
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
        ok=error is None or error.kind in ANSWERED,
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
