"""The payload of a delivery: made once, before its first attempt, and kept for all others.

What the end was stands in the row already; what it cost and the subject's metadata are added here.
No answer is ever in it: whoever receives it fetches that by the ID.
"""

from __future__ import annotations

import contextlib
from typing import Any
from uuid import UUID

import orjson

from penstock_client.connections import POSTGRES_AWAY
from penstock_client.ledger import Ledger
from penstock_schemas.results import Result

#: Larger metadata is left out, in bytes: receivers are not to be burdened.
MOST_METADATA = 16_384
_SUBJECTS = {"job": "job_id", "run": "run_id", "backfill": "backfill_id"}


async def compose(ledger: Ledger, row: Any) -> bytes:
    """The payload of a delivery's row, as JSON; raises what the ledger raises."""
    detail: dict[str, Any] = orjson.loads(row["detail"])
    kind, _, _ = row["type"].partition(".")
    facts: dict[str, Any] = {}
    if kind == "job":
        facts = await _of_job(ledger, row["subject"], detail.pop("answer", None))
    elif kind == "run":
        facts = await _of_owner(ledger, row["subject"])
    data: dict[str, Any] = {
        _SUBJECTS.get(kind, "test_id"): str(row["subject"]),
        "workspace": row["workspace"],
        "sequence": row["sequence"],
        **detail,
        **facts,
    }
    if len(orjson.dumps(data.get("metadata"))) > MOST_METADATA:
        data["metadata"] = None
    kept = {name: value for name, value in data.items() if value not in (None, {})}
    payload = {"type": row["type"], "timestamp": row["occurred_at"], "data": kept}
    return orjson.dumps(payload, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


async def _of_job(ledger: Ledger, job_id: UUID, answer: int | None) -> dict[str, Any]:
    found = (await ledger.fetch("webhook_facts", job_id, answer))[0]
    facts: dict[str, Any] = {"metadata": _metadata(found["payload"])}
    if found["answer"] is not None:
        with contextlib.suppress(ValueError):  # a newer version wrote it
            result = Result.decode(found["answer"])
            facts |= {
                "cost_usd": None if result.cost_usd is None else str(result.cost_usd),
                "input_tokens": result.usage.input_tokens,
                "output_tokens": result.usage.output_tokens,
                "attempts": result.attempts,
                "duration_ms": result.duration_ms,
                "provider": result.provider,
                "model": result.model,
                "simulated": result.simulated or None,
            }
    return facts


async def _of_owner(ledger: Ledger, owner: UUID) -> dict[str, Any]:
    """What its calls came to; left out where that takes the ledger too long."""
    try:
        cost = (await ledger.fetch("webhook_owner_cost", owner))[0]["cost_usd"]
    except POSTGRES_AWAY:
        return {}
    return {} if cost is None else {"cost_usd": str(cost)}


def _metadata(payload: bytes | None) -> Any:
    """A job's metadata, from its envelope; None where that is no longer kept."""
    if payload is None:
        return None
    try:
        return orjson.loads(payload)["job"].get("metadata")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
