"""One paced limit, and a stranger who uses a share of the same limits.

Pure but for their state: the clock is passed in. A generic cell rate algorithm, in which a minute's
limit is enforced in slices of so many seconds: whoever spreads calls evenly gets all of the limit,
whoever bursts beyond a slice gets 429s.
"""

from __future__ import annotations

from .limit_headers import Standing

_MINUTE_S = 60.0
_ROUNDING_S = 1e-9
_ROUNDING_UNITS = 1e-3
#: A stranger that only counts tokens makes this many calls a minute of the whole limit.
_CALLS_A_MINUTE = 600
#: Longer without a caller, and the bucket was the stranger's alone: all of its calls went through.
_LOOK_BACK_S = 2 * _MINUTE_S


class PacedBucket:
    """One limit of so many units a minute, enforced in slices of `slice_s` seconds."""

    def __init__(self, per_minute: float, *, slice_s: float = 1.0) -> None:
        self.per_minute = per_minute
        self._slice_s = slice_s
        self._interval_s = _MINUTE_S / per_minute
        self._busy_until_s = 0.0

    def wait_s(self, now_s: float, cost: float) -> float:
        """Seconds until the cost would be admitted, 0 for at once; a cost above a slice waits for
        an idle bucket."""
        behind = max(0.0, self._busy_until_s - now_s)
        room = max(0.0, self._slice_s - cost * self._interval_s)
        wait = behind - room
        return wait if wait > _ROUNDING_S else 0.0

    def take(self, now_s: float, cost: float) -> None:
        """Charge the cost, admitted or not."""
        self._busy_until_s = max(now_s, self._busy_until_s) + cost * self._interval_s

    def standing(self, now_s: float) -> Standing:
        """What the response headers say of this bucket."""
        behind = max(0.0, self._busy_until_s - now_s)
        remaining = max(0, int(self.per_minute - behind / self._interval_s + _ROUNDING_UNITS))
        return Standing(int(self.per_minute), remaining, behind)


class Stranger:
    """Somebody else on the same limits, who evenly asks for a share of them.

    Its calls are drawn when somebody looks: nothing runs meanwhile.
    """

    def __init__(self, share: float, *, now_s: float) -> None:
        if not 0 < share <= 1:
            raise ValueError("share must be above 0 and at most 1")
        self.share = share
        self.taken = 0
        self.refused = 0
        self._next_s = now_s

    def draw(self, now_s: float, requests: PacedBucket | None, tokens: PacedBucket | None) -> None:
        """Make the calls that are due by now, each at its own time."""
        calls_a_minute = requests.per_minute if requests else _CALLS_A_MINUTE if tokens else 0.0
        if not calls_a_minute:
            self._next_s = now_s
            return
        interval_s = _MINUTE_S / (calls_a_minute * self.share)
        costs = [(requests, 1.0)] if requests else []
        if tokens:
            costs.append((tokens, tokens.per_minute / calls_a_minute))
        missed = max(0, int((now_s - _LOOK_BACK_S - self._next_s) / interval_s))
        self.taken += missed
        self._next_s += missed * interval_s
        while self._next_s <= now_s:
            at_s = self._next_s
            if any(bucket.wait_s(at_s, cost) for bucket, cost in costs):
                self.refused += 1
            else:
                self.taken += 1
                for bucket, cost in costs:
                    bucket.take(at_s, cost)
            self._next_s += interval_s
