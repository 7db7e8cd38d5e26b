"""Words and labels: the simulator's idea of what a text is about.

Pure and deterministic. A label set is indexed once and then scored against thousands of texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log, sqrt
from zlib import crc32

_WORD = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "she",
        "should",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
_SUFFIXES = (
    "ations", "ation", "ements", "ement", "ments", "ment", "ingly", "ions", "ion", "ness",
    "ings", "ing", "edly", "ed", "ers", "er", "als", "al", "able", "ly", "es", "s", "e", "y",
)  # fmt: skip
_IRREGULAR = {
    "lost": "lose", "paid": "pay", "sent": "send", "stolen": "steal", "stole": "steal",
    "bought": "buy", "got": "get", "gone": "go", "went": "go", "broken": "break",
    "broke": "break", "wrote": "write", "written": "write", "made": "make", "took": "take",
    "taken": "take", "gave": "give", "withdrew": "withdraw", "people": "person",
    "children": "child", "forgot": "forget", "forgotten": "forget", "chosen": "choose",
    "isn": "not", "doesn": "not", "didn": "not", "don": "not", "hasn": "not", "haven": "not",
    "wasn": "not", "won": "not", "cannot": "not", "couldn": "not", "never": "not",
}  # fmt: skip
_KINDRED = {
    "positive": "good great love loved excellent amazing happy thanks perfect best wonderful"
    " nice fantastic recommend enjoyed pleased helpful",
    "negative": "bad terrible hate awful worst poor angry disappointed broken horrible useless"
    " slow refund never boring rude",
    "neutral": "okay average fine ordinary",
    "urgent": "asap immediately emergency critical now outage down",
    "spam": "winner prize free click offer viagra lottery congratulations",
    "billing": "invoice charge charged payment refund price subscription card receipt",
    "bug": "crash crashes error broken exception fails stacktrace traceback",
    "technical": "crash error install login bug server password",
    "shipping": "delivery package parcel courier tracking arrived",
    "sport": "match team goal coach league player season",
    "business": "market shares company profit stock bank revenue",
}
_KINDRED_WEIGHT = 0.4
_CATCH_ALL = frozenset(("other", "others", "unknown", "neutral", "none", "general", "misc", "n/a"))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A lower-case word without its common English endings, at most six letters."""
    word = _IRREGULAR.get(word, word)
    if len(word) > 3:
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 3:
                word = word[: -len(suffix)]
                break
        if len(word) > 3 and word[-1] == word[-2]:
            word = word[:-1]
    return word[:6]


def stems(text: str) -> list[str]:
    """Stems of a text's meaningful words, in order, repeats kept."""
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


def name_stems(name: str) -> frozenset[str]:
    """Stems of an identifier's parts: `cardArrival`, `card_arrival` and `card arrival` are one."""
    return frozenset(stems(_CAMEL.sub(" ", name)))


class LabelIndex:
    """Scores labels against a text by the words they share, rare label words weighing more."""

    __slots__ = ("_catch_all", "_postings", "labels")

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        parts = [name_stems(label) for label in self.labels]
        frequency: dict[str, int] = {}
        for stem_ in (s for part in parts for s in part):
            frequency[stem_] = frequency.get(stem_, 0) + 1
        count = len(self.labels)
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for index, part in enumerate(parts):
            weights = {s: log(1 + count / frequency[s]) for s in part}
            length = sqrt(sum(w * w for w in weights.values())) or 1.0
            own = dict(weights)
            for kindred in self._kindred(self.labels[index]):
                own.setdefault(kindred, _KINDRED_WEIGHT)
            for s, weight in own.items():
                self._postings.setdefault(s, []).append((index, weight * weight / length))
        self._catch_all = next(
            (i for i, label in enumerate(self.labels) if label.lower() in _CATCH_ALL), None
        )

    @staticmethod
    def _kindred(label: str) -> Iterable[str]:
        words = (word for part in _WORD.findall(label.lower()) for word in (part, part + "s"))
        return (s for word in words for s in stems(_KINDRED.get(word, "")))

    def scores(self, text_stems: Iterable[str]) -> dict[int, float]:
        """Score by label position; labels that share nothing with the text are left out."""
        found: dict[int, float] = {}
        postings = self._postings
        for stem_ in text_stems:
            for index, weight in postings.get(stem_, ()):
                found[index] = found.get(index, 0.0) + weight
        return found

    def best(self, text: str, text_stems: Iterable[str]) -> int:
        """Position of the best label; a catch-all, else a stable choice, when none overlaps."""
        found = self.scores(text_stems)
        if found:
            return max(found, key=lambda index: (found[index], -index))
        if self._catch_all is not None:
            return self._catch_all
        return crc32(text.encode()) % len(self.labels)

    def several(self, text_stems: Iterable[str], *, share: float = 0.5) -> list[int]:
        """Positions that score at least `share` of the best one, best first; may be empty."""
        found = self.scores(text_stems)
        if not found:
            return []
        floor = max(found.values()) * share
        return sorted((i for i in found if found[i] >= floor), key=lambda i: (-found[i], i))


@lru_cache(maxsize=512)
def label_index(labels: tuple[str, ...]) -> LabelIndex:
    """The index of a label set, built once."""
    return LabelIndex(labels)
