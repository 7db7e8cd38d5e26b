"""Pure: steps and what they come after -> layers of places, ordered so that few lines cross.

A step stands one layer behind the last of those before it. A line that passes a layer takes a
place in it, so that it runs between steps and not through them.
Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system
structures", IEEE Transactions on Systems, Man, and Cybernetics 11 (1981).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

#: A step by its position; or where the line of two steps passes a layer between theirs.
Place = int | tuple[int, int, int]
#: Two steps, the second of which comes after the first.
Edge = tuple[int, int]
_SWEEPS: Final = 12
_ROUNDS: Final = 12
#: How much straighter a line is that says something new.
_HEAVY: Final = 256
#: How much less a step gives way than a line that passes it.
_STEADY: Final = 256


@dataclass(frozen=True, slots=True)
class Layers:
    """The places of each layer in their order, and those that each line takes, one per layer."""

    layers: tuple[tuple[Place, ...], ...]
    lines: Mapping[Edge, tuple[Place, ...]]

    def joined(self, light: Collection[Edge] = ()) -> dict[Place, list[tuple[Place, int]]]:
        """The places that each place is joined to, and how much that weighs."""
        found: dict[Place, list[tuple[Place, int]]]
        found = {place: [] for layer in self.layers for place in layer}
        for edge, chain in self.lines.items():
            weight = 1 if edge in light else _HEAVY
            for one, other in pairwise(chain):
                found[one].append((other, weight))
                found[other].append((one, weight))
        return found


def layered(before: Sequence[Collection[int]]) -> Layers:
    """The layers of steps each of which comes after those at `before[position]`; no cycle."""
    level = _levels(before)
    lines: dict[Edge, tuple[Place, ...]] = {}
    layers: list[list[Place]] = [[] for _ in range(max(level, default=-1) + 1)]
    for at, sources in enumerate(before):
        layers[level[at]].append(at)
        for source in sorted(set(sources)):
            passed = range(level[source] + 1, level[at])
            lines[source, at] = (source, *((source, at, each) for each in passed), at)
            for each in passed:
                layers[each].append((source, at, each))
    return _uncrossed(Layers(tuple(map(tuple, layers)), lines))


def implied(before: Sequence[Collection[int]]) -> frozenset[Edge]:
    """The edges that say nothing new: other steps lead the same way."""
    ancestors: list[frozenset[int]] = [frozenset()] * len(before)
    for at in sorted(range(len(before)), key=_levels(before).__getitem__):
        ancestors[at] = frozenset(before[at]).union(*(ancestors[each] for each in before[at]))
    return frozenset(
        (source, at)
        for at, sources in enumerate(before)
        for source in sources
        if any(source in ancestors[other] for other in sources)
    )


def _levels(before: Sequence[Collection[int]]) -> list[int]:
    level: dict[int, int] = {}
    while len(level) < len(before):
        for at, sources in enumerate(before):
            if at not in level and all(source in level for source in sources):
                level[at] = 1 + max((level[source] for source in sources), default=-1)
    return [level[at] for at in range(len(before))]


def _uncrossed(given: Layers) -> Layers:
    """The best of some orders, each layer by the middles of its neighbours in the one before."""
    joined = given.joined()
    best, fewest = given, crossings(given)
    order = [list(layer) for layer in given.layers]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        steps = range(1, len(order)) if sweep % 2 == 0 else range(len(order) - 2, -1, -1)
        for at in steps:
            _sort(order[at], order[at - 1 if sweep % 2 == 0 else at + 1], joined)
        tried = Layers(tuple(map(tuple, order)), given.lines)
        found = crossings(tried)
        if found < fewest:
            best, fewest = tried, found
    return best


def _sort(
    layer: list[Place],
    beside: Sequence[Place],
    joined: Mapping[Place, Sequence[tuple[Place, int]]],
) -> None:
    at = {place: index for index, place in enumerate(beside)}
    middle: dict[Place, float] = {}
    for index, place in enumerate(layer):
        near = [at[other] for other, _ in joined[place] if other in at]
        middle[place] = sum(near) / len(near) if near else index
    layer.sort(key=middle.__getitem__)


def crossings(given: Layers) -> int:
    """How many pairs of lines cross."""
    index = {place: at for layer in given.layers for at, place in enumerate(layer)}
    level = {place: at for at, layer in enumerate(given.layers) for place in layer}
    spans: list[list[tuple[int, int]]] = [[] for _ in given.layers]
    for chain in given.lines.values():
        for one, other in pairwise(chain):
            spans[level[one]].append((index[one], index[other]))
    return sum(_inversions([end for _, end in sorted(span)]) for span in spans)


def _inversions(ends: Sequence[int]) -> int:
    return sum(earlier > later for at, earlier in enumerate(ends) for later in ends[at + 1 :])


def placed(
    given: Layers,
    room: Mapping[Place, int],
    *,
    between: int,
    light: Collection[Edge] = (),
) -> dict[Place, float]:
    """The middle of each place across its layer: near its neighbours', none upon another.

    `room` is what each takes, `between` what is left free; the least edge is at 0. Lines that are
    `light` bend where others would.
    """
    joined = given.joined(light)
    middle: dict[Place, float] = {}
    for layer in given.layers:
        middle |= _spread(layer, dict.fromkeys(layer, 0.0), room, between)
    for turn in range(_ROUNDS):
        for layer in given.layers if turn % 2 == 0 else reversed(given.layers):
            wanted = {place: _pull(place, joined[place], middle) for place in layer}
            middle |= _spread(layer, wanted, room, between)
    least = min((at - room[place] / 2 for place, at in middle.items()), default=0)
    return {place: at - least for place, at in middle.items()}


def _pull(
    place: Place, joined: Sequence[tuple[Place, int]], middle: Mapping[Place, float]
) -> float:
    """Where the neighbours of a place draw it, each by its weight."""
    weight = sum(each for _, each in joined)
    return sum(middle[other] * each for other, each in joined) / weight if weight else middle[place]


def _spread(
    layer: Sequence[Place],
    wanted: Mapping[Place, float],
    room: Mapping[Place, int],
    between: int,
) -> dict[Place, float]:
    """The middles that are as near to what is wanted as their order and room let them.

    Neighbours that would overlap move as one block, to the mean of what its members want.
    """
    offset, offsets = 0.0, list[float]()
    for at, place in enumerate(layer):
        if at:
            offset += (room[layer[at - 1]] + room[place]) / 2 + between
        offsets.append(offset)
    blocks: list[tuple[float, int, int]] = []  # mean of what members want, weight, members
    for place, own in zip(layer, offsets, strict=True):
        mean, weight, count = wanted[place] - own, _STEADY if isinstance(place, int) else 1, 1
        while blocks and blocks[-1][0] > mean:
            last, heavier, members = blocks.pop()
            mean = (last * heavier + mean * weight) / (heavier + weight)
            weight, count = weight + heavier, count + members
        blocks.append((mean, weight, count))
    starts: Iterable[float] = (mean for mean, _, count in blocks for _ in range(count))
    return {place: start + own for place, start, own in zip(layer, starts, offsets, strict=True)}
