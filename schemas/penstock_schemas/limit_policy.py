"""What each provider counts against its limits and how it tells: `catalog_data/limits.toml`, typed.

Workers ask before a call what it will count, after it what it did count, and how to read what the
provider said of its limits. Numbers of limits are not here: they differ by account.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

Counted = Literal["max", "input", "sum"]
LimitWindow = Literal["minute", "day"]
HeaderFamily = Literal["openai", "anthropic", "mistral", "fireworks", "cerebras"]

WINDOW_MS: Mapping[LimitWindow, int] = {"minute": 60_000, "day": 86_400_000}


class LimitPolicy(BaseModel):
    """One provider's ways with limits.

    `counted` is what a limit in `tokens` counts: `max` is the larger of `max_tokens` and the
    estimate of the input, `input` the input alone, `sum` input and output as used. Limits in
    `input_tokens` or `output_tokens` count what they say. `headers` names the family of headers
    that tell of limits, None where there are none. `groups` maps a name to the patterns of the
    models that share one limit. After `failures` in a row a breaker opens, for `open_s` seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counted: Counted = "sum"
    cache_reads_count: bool = True
    request_window: LimitWindow = "minute"
    headers: HeaderFamily | None = None
    failed_requests_count: bool = True
    groups: Mapping[str, tuple[str, ...]] = Field(default={})
    failures: PositiveInt = 5
    open_s: PositiveFloat = 60.0

    @property
    def request_window_ms(self) -> int:
        """The window of the limit in requests that headers tell of, in ms."""
        return WINDOW_MS[self.request_window]

    def group_of(self, model: str) -> str:
        """The group of models whose limits a model shares; a model alone is its own group."""
        for group, patterns in self.groups.items():
            if any(fnmatchcase(model, pattern) for pattern in patterns):
                return group
        return model


def limit_policy(provider: str) -> LimitPolicy:
    """The policy of a provider, by its name; the defaults for one that has no row."""
    return _policies().get(provider, _DEFAULT)


_DEFAULT = LimitPolicy()


@cache
def _policies() -> Mapping[str, LimitPolicy]:
    source = files("penstock_schemas").joinpath("catalog_data", "limits.toml")
    rows: dict[str, Any] = tomllib.loads(source.read_text(encoding="utf-8"))
    return {name: LimitPolicy.model_validate(row) for name, row in rows.items()}
