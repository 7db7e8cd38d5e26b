"""When a waiting job may start, if things go on as they do. Pure; None where nothing is known."""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock_client.job_place import JobPlace

#: Limits over longer windows are counted: all of a day's may be used at once.
COUNTED_FROM_S = 3600
#: Beyond so long an estimate says nothing.
_LONGEST_S = 366 * 86_400.0


def estimated_start(place: JobPlace, *, input_tokens: int, output_tokens: int) -> datetime | None:
    """When a job that waits at `place` may start; the tokens are what it is expected to use."""
    if place.gate is None:
        return _by_turn(place)
    if place.until is None or place.gate.startswith("b:start:"):
        return None
    opens = max(place.until, place.now)
    limit = place.limit
    if limit is None:
        return opens
    if limit.window_s == 0:
        return None
    jobs_ahead = (place.rank or 0) * max(1, place.beside)
    each = _charge(
        limit.unit, input_tokens=input_tokens, output_tokens=output_tokens, other=place.each
    )
    units_ahead = jobs_ahead * each
    if limit.window_s >= COUNTED_FROM_S:
        return _after(opens, int(units_ahead // limit.amount) * limit.window_s)
    return _after(opens, units_ahead * limit.window_s / (limit.amount * limit.share))


def _charge(unit: str, *, input_tokens: int, output_tokens: int, other: float) -> float:
    """What the jobs ahead are taken to cost; what counts as tokens, the last job's charge says."""
    match unit:
        case "requests":
            return 1
        case "input_tokens":
            return input_tokens
        case "output_tokens":
            return output_tokens
        case _:
            return other


def _by_turn(place: JobPlace) -> datetime | None:
    """After the jobs before it, at the pace of the last minutes; None where nothing moves."""
    if not place.workers or not place.claimed_a_second or place.rank is None:
        return None
    jobs_ahead = place.rank * max(1, place.workspaces)
    return _after(place.now, jobs_ahead / place.claimed_a_second)


def _after(start: datetime, wait_s: float) -> datetime | None:
    return start + timedelta(seconds=wait_s) if wait_s <= _LONGEST_S else None
