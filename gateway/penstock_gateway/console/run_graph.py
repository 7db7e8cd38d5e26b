"""Pure: what the steps of a pipeline come after -> where each stands in a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from penstock_gateway.console.run_layers import implied, layered, placed

#: The size of a step, in pixels; narrower in a drawing that leads downwards.
WIDTH: Final = 192
UPRIGHT_WIDTH: Final = 158
HEIGHT: Final = 60
_BETWEEN_LAYERS: Final = 56
_BETWEEN_UPRIGHT: Final = 36
_BESIDE: Final = 22
_LINE: Final = 2
_MARGIN: Final = 8


@dataclass(frozen=True, slots=True)
class Box:
    """Where a step stands: its upper left corner."""

    position: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line between two steps, as an SVG path; `implied` where other lines lead the same way."""

    source: int
    target: int
    path: str
    implied: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """Steps and lines in a space of this size, and the size of a step, in pixels."""

    width: int
    height: int
    step_width: int
    step_height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


@lru_cache(maxsize=256)
def drawn(before: tuple[tuple[int, ...], ...], *, upright: bool = False) -> Drawing:
    """The drawing of steps, each of which comes after those at `before[position]`; no cycle.

    It leads from left to right, or from top to bottom when `upright`.
    """
    given = layered(before)
    along, across = (HEIGHT, UPRIGHT_WIDTH) if upright else (WIDTH, HEIGHT)
    pitch = along + (_BETWEEN_UPRIGHT if upright else _BETWEEN_LAYERS)
    starts = {
        place: _MARGIN + at * pitch for at, layer in enumerate(given.layers) for place in layer
    }
    room = {place: across if isinstance(place, int) else _LINE for place in starts}
    said = implied(before)
    spread = placed(given, room, between=_BESIDE, light=said)
    middles = {place: _MARGIN + round(at) for place, at in spread.items()}
    boxes: list[Box] = []
    for position in range(len(before)):
        start, edge = starts[position], middles[position] - across // 2
        boxes.append(Box(position, edge, start) if upright else Box(position, start, edge))
    length = len(given.layers) * pitch - (pitch - along) + 2 * _MARGIN
    breadth = max((at + room[place] // 2 for place, at in middles.items()), default=0) + _MARGIN
    width, height = (breadth, length) if upright else (length, breadth)
    lines: list[Line] = []
    for (source, target), chain in given.lines.items():
        path = _path([(starts[at], middles[at]) for at in chain], along, upright=upright)
        lines.append(Line(source, target, path, (source, target) in said))
    step_width = UPRIGHT_WIDTH if upright else WIDTH
    return Drawing(width, height, step_width, HEIGHT, tuple(boxes), tuple(lines))


def _path(points: Sequence[tuple[int, int]], along: int, *, upright: bool) -> str:
    """From behind the first place to before the last, straight through those between."""

    def point(ahead: int, aside: int) -> str:
        return f"{aside} {ahead}" if upright else f"{ahead} {aside}"

    path = [f"M{point(points[0][0] + along, points[0][1])}"]
    for at, ((start, middle), (end, other)) in enumerate(pairwise(points)):
        if at:
            path.append(f"L{point(start + along, middle)}")
        bend = (start + along + end) // 2
        path.append(f"C{point(bend, middle)} {point(bend, other)} {point(end, other)}")
    return "".join(path)
