"""The drawing of a pipeline: nothing upon another, all lines ahead, few of them crossing."""

from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as some

from penstock_gateway.console.run_graph import Drawing, drawn
from penstock_gateway.console.run_layers import crossings, implied, layered

Before = tuple[tuple[int, ...], ...]


@some.composite
def pipelines(draw: some.DrawFn) -> Before:
    """What the steps of some pipeline come after."""
    count = draw(some.integers(1, 14))
    return tuple(
        tuple(draw(some.sets(some.integers(0, at - 1), max_size=3))) if at else ()
        for at in range(count)
    )


def ends_of(path: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where a line begins and ends."""
    numbers = [int(each) for each in re.findall(r"-?\d+", path)]
    return (numbers[0], numbers[1]), (numbers[-2], numbers[-1])


def box_at(drawing: Drawing, position: int) -> tuple[int, int]:
    """The corner of a step."""
    box = drawing.boxes[position]
    assert box.position == position
    return box.x, box.y


@given(before=pipelines(), upright=some.booleans())
def test_drawing_has_no_two_steps_upon_each_other(before: Before, upright: bool) -> None:
    drawing = drawn(before, upright=upright)
    for one, other in combinations(drawing.boxes, 2):
        apart = (
            abs(one.x - other.x) >= drawing.step_width
            or abs(one.y - other.y) >= drawing.step_height
        )
        assert apart, (one, other)


@given(before=pipelines(), upright=some.booleans())
def test_drawing_holds_all_of_its_steps(before: Before, upright: bool) -> None:
    drawing = drawn(before, upright=upright)
    for box in drawing.boxes:
        assert 0 <= box.x <= drawing.width - drawing.step_width
        assert 0 <= box.y <= drawing.height - drawing.step_height


@given(before=pipelines())
def test_drawing_leads_lines_from_edge_to_edge_and_ahead(before: Before) -> None:
    drawing = drawn(before)
    edges = {(source, at) for at, sources in enumerate(before) for source in sources}
    assert {(line.source, line.target) for line in drawing.lines} == edges
    for line in drawing.lines:
        begins, ends = ends_of(line.path)
        x, y = box_at(drawing, line.source)
        assert begins == (x + drawing.step_width, y + drawing.step_height // 2)
        x, y = box_at(drawing, line.target)
        assert ends == (x, y + drawing.step_height // 2)
        assert begins[0] < ends[0]


def test_drawing_of_a_chain_is_one_straight_line() -> None:
    drawing = drawn(((), (0,), (1,), (2,)))
    assert len({box.y for box in drawing.boxes}) == 1
    assert [box.x for box in drawing.boxes] == sorted({box.x for box in drawing.boxes})


def test_drawing_leads_downwards_when_upright() -> None:
    drawing = drawn(((), (0,), (1,)), upright=True)
    assert len({box.x for box in drawing.boxes}) == 1
    assert drawing.height > drawing.width


def test_layers_are_ordered_so_that_lines_do_not_cross() -> None:
    crossed = ((), (), (), (2,), (1,), (0,))
    assert crossings(layered(crossed)) == 0


def test_implied_is_what_a_longer_way_says_too() -> None:
    assert implied(((), (0,), (0, 1), (2, 0))) == {(0, 2), (0, 3)}


def test_drawing_of_a_wide_fan_takes_no_time_to_speak_of() -> None:
    before = ((), *((0,) for _ in range(198)), tuple(range(1, 199)))
    assert len(drawn(before).boxes) == 200
