"""Rate limits of the simulated providers: who is let through, and what the headers say.

A call is charged when it arrives, in full: what its answer will take is known by then. Refusals are
not charged. Pure but for the buckets' state: the clock is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .buckets import PacedBucket, Stranger
from .limit_headers import Standings, limit_headers
from .request import Refusal

EVERY_PROVIDER = "*"

Counted = Literal["max", "input", "sum"]
_COUNTED: tuple[str, ...] = get_args(Counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What is in force for a provider; None: no limit, or the wire's own way to count tokens."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    tokens: Counted | None = None
    slice_s: float = 1.0


_NONE = _Setting()


@dataclass(slots=True)
class _Provider:
    requests: PacedBucket | None
    tokens: PacedBucket | None
    counted: Counted | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Headers to send, and the refusal if the limit does not let the call through."""

    headers: dict[str, str]
    refusal: Refusal | None = None


_UNLIMITED = Verdict({})


class Limits:
    """The limits of all providers; without a setting a provider has none."""

    def __init__(self) -> None:
        self._settings: dict[str, _Setting] = {}
        self._providers: dict[str, _Provider] = {}
        self._strangers: dict[str, Stranger] = {}

    def __bool__(self) -> bool:
        return bool(self._settings)

    def set(
        self,
        provider: str = EVERY_PROVIDER,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        tokens: Counted | None = None,
        slice_s: float = 1.0,
    ) -> None:
        """Set or replace a provider's limits (`*`: of every provider not named); None lifts one.

        `tokens` is what counts: the larger of max_tokens and the input (`max`), the `input`, or the
        `sum` of input and output; None: as the wire's provider does. `slice_s` is how much of a
        minute is let through at once. Raises ValueError for what makes no sense.
        """
        for limit in (requests_per_minute, tokens_per_minute):
            if limit is not None and limit <= 0:
                raise ValueError(f"a limit must be above 0 a minute, not {limit}")
        if tokens is not None and tokens not in _COUNTED:
            raise ValueError(f"tokens must be one of {', '.join(_COUNTED)}, not {tokens}")
        if not 0 < slice_s <= 60:
            raise ValueError(f"slice_s must be above 0 and at most 60, not {slice_s}")
        self._settings[provider] = _Setting(
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            tokens=tokens,
            slice_s=slice_s,
        )
        self._providers.clear()

    def clear(self) -> None:
        """Lift all limits; strangers go with them."""
        self._settings.clear()
        self._providers.clear()
        self._strangers.clear()

    def set_stranger(self, provider: str, share: float, *, now_s: float) -> None:
        """Let somebody else use a share of a provider's limits from now on; 0 ends it.

        Raises ValueError for a share below 0 or above 1.
        """
        if share == 0:
            self._strangers.pop(provider, None)
        else:
            self._strangers[provider] = Stranger(share, now_s=now_s)

    def strangers(self, *, now_s: float) -> dict[str, Stranger]:
        """The strangers by provider, with all their calls up to now."""
        for provider in self._strangers:
            self._caught_up(provider, now_s)
        return dict(self._strangers)

    def restart_strangers(self, *, now_s: float) -> None:
        """Count the strangers' calls from now on."""
        for provider, stranger in self.strangers(now_s=now_s).items():
            self._strangers[provider] = Stranger(stranger.share, now_s=now_s)

    def counted(self, provider: str) -> Counted | None:
        """What is set to count as tokens; None: as the provider's wire does."""
        return self._state(provider).counted

    def limits_tokens(self, provider: str) -> bool:
        """Whether a limit on tokens is in force."""
        return bool(self._settings) and self._state(provider).tokens is not None

    def admit(self, provider: str, tokens: int, *, now_s: float, wall_s: float) -> Verdict:
        """Charge a call to its provider's limits if both let it through.

        `now_s` is monotonic, `wall_s` the wall clock for headers that name a time.
        """
        if not self._settings:
            return _UNLIMITED
        state = self._caught_up(provider, now_s)
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
            state.counted,
        )
        headers = limit_headers(provider, standings)
        if too_large:
            return Verdict(headers, _too_large(provider, tokens, state.tokens))
        if wait > 0.0:
            return Verdict(headers, _limited(wait, of_tokens=worst is state.tokens))
        return Verdict(headers)

    def _caught_up(self, provider: str, now_s: float) -> _Provider:
        state = self._state(provider)
        stranger = self._strangers.get(provider)
        if stranger is not None:
            stranger.draw(now_s, state.requests, state.tokens)
        return state

    def _state(self, provider: str) -> _Provider:
        state = self._providers.get(provider)
        if state is None:
            default = self._settings.get(EVERY_PROVIDER, _NONE)
            setting = self._settings.get(provider, default)
            requests, tokens = (
                PacedBucket(limit, slice_s=setting.slice_s) if limit else None
                for limit in (setting.requests_per_minute, setting.tokens_per_minute)
            )
            state = _Provider(requests, tokens, setting.tokens)
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
