"""The first use of a credential: a smoke test whose outcome shuts or opens the credential's gate.

Once an hour for each key, however many workers start. Work does not wait for it: a key that is
refused shuts its gate before many jobs have met the same refusal.
"""

from __future__ import annotations

import hashlib
import logging

from arq.connections import ArqRedis

from penstock_client.connections import REDIS_AWAY
from penstock_client.entries import Flow
from penstock_schemas.catalog import Catalog, Provider
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.credentials import Access
from penstock_worker.observing import PLATFORM, Observer
from penstock_worker.providers.http import Sender
from penstock_worker.smoke import SmokeResult, smoke_test

logger = logging.getLogger("penstock.worker")

_EVERY_S = 3600


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
            await observer.failed(Flow("", 0, model), result.error, None)
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
