"""The first use of the platform's key: a smoke test whose outcome shuts or opens its gate.

Once an hour for each key, however many workers start. Work does not wait for it: a key that is
refused shuts its gate before many jobs have met the same refusal. Where only workers are left that
have no platform key, and serve workspaces with their own, they keep that gate shut.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.entries import Flow
from penstock_schemas.catalog import Catalog, Provider
from penstock_schemas.errors import MissingKey
from penstock_schemas.keys import PLATFORM
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.credentials import Access
from penstock_worker.observing import Observer
from penstock_worker.providers.http import Sender
from penstock_worker.smoke import SmokeResult, smoke_test

logger = logging.getLogger("penstock.worker")

_EVERY_S = 3600
#: The state of a gate that is shut for want of a key. Each worker tells this often whether it has
#: one, and is believed for so long: the gate opens by itself once no worker without a key is left.
NO_KEY = "no_key"
TELL_EVERY_S = 20.0
KEEP_SHUT_S = 60.0


async def try_credential(
    redis: ArqRedis,
    index: ProviderIndex,
    observer: Observer,
    sender: Sender,
    models: Catalog,
    *,
    provider: Provider,
    access: Access,
) -> SmokeResult | None:
    """Test a provider's platform key unless that was done lately; never raises for what it meets.

    None when there was no test. The call is logged and not recorded as usage of any workspace.
    """
    digest = hashlib.sha256((access.api_key or "").encode()).hexdigest()[:12]
    try:
        if not await redis.set(f"{index.keys.base}smoke:{digest}", "", nx=True, ex=_EVERY_S):
            return None
        result = await smoke_test(sender, models, provider=provider, access=access)
        _log(result)
        if result.ok:
            await index.restore(f"credential:{PLATFORM}")
        elif result.error is not None and result.model is not None:
            model = result.model.partition("/")[2]
            await observer.failed(Flow("", 0, model), result.error, None, PLATFORM)
    except REDIS_AWAY as away:
        logger.warning("smoke.redis_away", extra={"reason": str(away)})
        return None
    return result


def _log(result: SmokeResult) -> None:
    told = {
        "provider": result.provider,
        "model": result.model,
        "duration_ms": result.duration_ms,
        "cost_usd": None if result.cost_usd is None else str(result.cost_usd),
        "simulated": result.simulated,
    }
    if result.ok:
        logger.info("smoke.ok", extra=told)
    else:
        why = {"kind": result.kind, "reason": result.message}
        logger.warning("smoke.failed", extra=told | why)


def no_key_reason(provider: Provider) -> str:
    """Names the variable to set."""
    return str(MissingKey(provider.name, provider.key_variables))


async def tell_of_platform(
    redis: ArqRedis, index: ProviderIndex, provider: Provider, *, has_key: bool
) -> None:
    """One turn of a worker's telling whether jobs can have the platform's key; raises redis errors.

    Who has it opens the gate that others had shut for want of it. Who has not shuts it, unless
    somebody who has it was seen lately: jobs wait or go elsewhere then.
    """
    mark, gate = f"{index.keys.base}platform", f"credential:{PLATFORM}"
    if not has_key:
        if not await redis.exists(mark):
            reason = no_key_reason(provider)
            await index.shut(gate, state=NO_KEY, reason=reason, for_s=KEEP_SHUT_S)
        return
    await redis.set(mark, "", ex=int(KEEP_SHUT_S))
    hget: Any = redis.hget
    if await hget(f"{index.keys.base}gate:{gate}", "state") == NO_KEY.encode():
        await index.restore(gate)
