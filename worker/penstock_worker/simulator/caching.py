"""Prompt caching as providers do it: a long prefix seen before costs less.

Holds digests only. Bounded, oldest use forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from .request import CHARACTERS_PER_TOKEN, SimRequest, SimUsage, tokens_of

LEAST_CACHED_TOKENS = 1024
"""Shorter prefixes are not cached.

Source: https://platform.openai.com/docs/guides/prompt-caching and
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching, 2026-11."""
_STEP_TOKENS = 128
_LEAST_CHARACTERS = LEAST_CACHED_TOKENS * CHARACTERS_PER_TOKEN


class PromptCache:
    """Remembers prompt prefixes per scope (provider and key, say) and model."""

    def __init__(self, *, capacity: int = 50_000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._capacity = capacity

    def clear(self) -> None:
        """Forget everything."""
        self._seen.clear()

    def automatic(self, scope: str, request: SimRequest) -> SimUsage:
        """Input usage where the provider caches by itself, in steps of 128 tokens from 1,024."""
        total = tokens_of(len(request.prompt))
        if total < LEAST_CACHED_TOKENS:
            return SimUsage(total)
        step = _STEP_TOKENS * CHARACTERS_PER_TOKEN
        cuts = range(_LEAST_CHARACTERS, len(request.prompt) + 1, step)
        read = self._longest(scope, request, tuple(cuts))
        return SimUsage(total, cache_read_tokens=read // CHARACTERS_PER_TOKEN)

    def marked(self, scope: str, request: SimRequest) -> SimUsage:
        """Input usage where the caller marks what to cache: reads and writes up to the marks."""
        total = tokens_of(len(request.prompt))
        cuts = tuple(sorted(c for c in request.breakpoints if c >= _LEAST_CHARACTERS))
        if not cuts:
            return SimUsage(total)
        read = self._longest(scope, request, cuts)
        read_tokens = tokens_of(read)
        written = tokens_of(cuts[-1]) - read_tokens
        return SimUsage(total, cache_read_tokens=read_tokens, cache_write_tokens=written)

    def _longest(self, scope: str, request: SimRequest, cuts: tuple[int, ...]) -> int:
        digest = blake2b(f"{scope}\0{request.model}\0".encode(), digest_size=16)
        longest = start = 0
        for cut in cuts:
            digest.update(request.prompt[start:cut].encode(errors="replace"))
            start = cut
            key = digest.digest()
            if key in self._seen:
                longest = cut
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return longest
