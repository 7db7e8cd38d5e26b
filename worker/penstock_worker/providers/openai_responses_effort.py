"""Which reasoning efforts OpenAI's models take: data, and the nearest one to what was asked.

Read by `openai_responses` when it builds a request.
Source: https://developers.openai.com/api/docs/guides/reasoning (2026-11-21)
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
        (r"gpt-5(\.1)?-codex", "low medium high"),
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
