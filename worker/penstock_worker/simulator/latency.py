"""How long simulated providers take: a fixed part and a jitter, repeatable by seed."""

from __future__ import annotations

from random import Random

_EVERY_PROVIDER = "*"


class Latency:
    """Delays in milliseconds by provider, `*` for all others; none by default."""

    def __init__(self, *, latency_ms: float = 0, jitter_ms: float = 0, seed: int = 0) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable, not secret
        self._settings: dict[str, tuple[float, float]] = {}
        if latency_ms or jitter_ms:
            self.set(latency_ms=latency_ms, jitter_ms=jitter_ms)

    def set(
        self, provider: str = _EVERY_PROVIDER, *, latency_ms: float = 0, jitter_ms: float = 0
    ) -> None:
        """Set a provider's delay: `latency_ms` plus an even share of 0 to `jitter_ms`."""
        if latency_ms < 0 or jitter_ms < 0:
            raise ValueError("latency_ms and jitter_ms must not be negative")
        self._settings[provider] = (latency_ms, jitter_ms)

    def next_s(self, provider: str) -> float:
        """Seconds that the next call of a provider takes."""
        if not self._settings:
            return 0.0
        default = self._settings.get(_EVERY_PROVIDER, (0.0, 0.0))
        fixed, jitter = self._settings.get(provider, default)
        return (fixed + jitter * self._random.random()) / 1000
