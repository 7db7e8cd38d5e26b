"""Rate limits of the simulated providers, paced: a minute's limit is enforced in one-second slices.

Pure but for the buckets' state: the clock is passed in. A generic cell rate algorithm with a burst
of one second: whoever spreads calls evenly gets all of the limit, whoever bursts gets 429s.
"""

from __future__ import annotations

from dataclasses import dataclass

from .limit_headers import Standing, Standings, limit_headers
from .request import Refusal

_MINUTE_S = 60.0
_SLICE_S = 1.0
_ROUNDING_S = 1e-9
EVERY_PROVIDER = "*"


class PacedBucket:
    """One limit of so many units a minute."""

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._interval_s = _MINUTE_S / per_minute
        self._busy_until_s = 0.0

    def wait_s(self, now_s: float, cost: float) -> float:
        """Seconds until the cost would be admitted, 0 for at once; a cost above a second's slice
        waits for an idle bucket."""
        behind = max(0.0, self._busy_until_s - now_s)
        room = max(0.0, _SLICE_S - cost * self._interval_s)
        wait = behind - room
        return wait if wait > _ROUNDING_S else 0.0

    def take(self, now_s: float, cost: float) -> None:
        """Charge the cost, admitted or not."""
        self._busy_until_s = max(now_s, self._busy_until_s) + cost * self._interval_s

    def standing(self, now_s: float) -> Standing:
        """What the response headers say of this bucket."""
        behind = max(0.0, self._busy_until_s - now_s)
        remaining = max(0, int(self.per_minute - behind / self._interval_s + _ROUNDING_S))
        return Standing(int(self.per_minute), remaining, behind)


@dataclass(slots=True)
class _Provider:
    requests: PacedBucket | None
    tokens: PacedBucket | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Headers to send, and the refusal if the limit does not let the call through."""

    headers: dict[str, str]
    refusal: Refusal | None = None


_UNLIMITED = Verdict({})


class Limits:
    """The limits of all providers; without a setting a provider has none."""

    def __init__(self) -> None:
        self._settings: dict[str, tuple[float | None, float | None]] = {}
        self._providers: dict[str, _Provider] = {}

    def __bool__(self) -> bool:
        return bool(self._settings)

    def set(
        self,
        provider: str = EVERY_PROVIDER,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        """Set or replace a provider's limits (`*`: of every provider not named); None lifts one.

        Raises ValueError for limits that are not above 0.
        """
        for limit in (requests_per_minute, tokens_per_minute):
            if limit is not None and limit <= 0:
                raise ValueError(f"a limit must be above 0 a minute, not {limit}")
        self._settings[provider] = (requests_per_minute, tokens_per_minute)
        self._providers.clear()

    def clear(self) -> None:
        """Lift all limits."""
        self._settings.clear()
        self._providers.clear()

    def admit(self, provider: str, tokens: int, *, now_s: float, wall_s: float) -> Verdict:
        """Charge a call to its provider's limits if both let it through.

        `now_s` is monotonic, `wall_s` the wall clock for headers that name a time.
        """
        if not self._settings:
            return _UNLIMITED
        state = self._state(provider)
        costs = [(b, c) for b, c in ((state.requests, 1), (state.tokens, tokens)) if b is not None]
        waits = [(bucket.wait_s(now_s, cost), bucket) for bucket, cost in costs]
        wait, worst = max(waits, key=lambda pair: pair[0], default=(0.0, None))
        too_large = state.tokens is not None and tokens > state.tokens.per_minute
        if wait == 0.0 and not too_large:
            for bucket, cost in costs:
                bucket.take(now_s, cost)
        standings = Standings(
            state.requests and state.requests.standing(now_s),
            state.tokens and state.tokens.standing(now_s),
            wall_s,
        )
        headers = limit_headers(provider, standings)
        if too_large:
            return Verdict(headers, _too_large(provider, tokens, state.tokens))
        if wait > 0.0:
            return Verdict(headers, _limited(wait, of_tokens=worst is state.tokens))
        return Verdict(headers)

    def _state(self, provider: str) -> _Provider:
        state = self._providers.get(provider)
        if state is None:
            default = self._settings.get(EVERY_PROVIDER, (None, None))
            requests, tokens = self._settings.get(provider, default)
            state = _Provider(
                PacedBucket(requests) if requests else None,
                PacedBucket(tokens) if tokens else None,
            )
            self._providers[provider] = state
        return state


def _limited(wait_s: float, *, of_tokens: bool) -> Refusal:
    what = "tokens" if of_tokens else "requests"
    return Refusal(
        429,
        f"rate_limit_{what}",
        f"Rate limit reached on {what} per min. Please try again in {wait_s:.3f}s.",
        code="rate_limit_exceeded",
        retry_after_s=wait_s,
    )


def _too_large(provider: str, tokens: int, bucket: PacedBucket | None) -> Refusal:
    limit = 0 if bucket is None else int(bucket.per_minute)
    return Refusal(
        413 if provider == "groq" else 429,
        "request_too_large",
        f"Request too large on tokens per min (TPM): Limit {limit}, Requested {tokens}.",
        code="rate_limit_exceeded",
    )
