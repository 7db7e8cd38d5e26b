"""Which reasoning efforts OpenAI's models take: data, and the nearest one to what was asked.

Read by `openai_responses` when it builds a request.
Source: https://developers.openai.com/api/docs/guides/reasoning (2026-11-21)
Source: https://github.com/goruck/home-generative-agent/releases/tag/v3.46.0-beta.1
(2026-11-21), for the GPT-6 models without `none`
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import cast, get_args

from penstock_schemas.jobs import Effort

_ORDER: tuple[Effort, ...] = get_args(Effort)
_ALL = frozenset(_ORDER)

#: Pattern of a model's name -> the efforts that it takes; the first that fits counts.
_TAKEN: tuple[tuple[re.Pattern[str], frozenset[Effort]], ...] = tuple(
    (re.compile(pattern), frozenset(cast("list[Effort]", efforts.split())))
    for pattern, efforts in (
        (r"o\d", "low medium high"),
        (r"gpt-5-pro", "high"),
        (r"gpt-\d+(\.\d+)?-pro", "medium high"),
        (r"gpt-\d+(\.\d+)?-codex", "low medium high"),
        (r"gpt-6-astra|gpt-6\.1-sol", "low medium high"),
        (r"gpt-5($|-)", "minimal low medium high"),
        (r"gpt-", "none low medium high"),
    )
)


@lru_cache(maxsize=256)
def nearest_effort(name: str, asked: Effort) -> Effort:
    """The effort that a model takes which is nearest to the one asked for, the higher of two."""
    bare = name.rpartition("/")[2]
    taken = next((efforts for pattern, efforts in _TAKEN if pattern.match(bare)), _ALL)
    wanted = _ORDER.index(asked)
    offered: list[Effort] = [effort for effort in _ORDER[::-1] if effort in taken]
    return min(offered, key=lambda effort: abs(_ORDER.index(effort) - wanted))
