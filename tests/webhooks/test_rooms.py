"""Who may send how many: nobody starves behind hosts that do not answer."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from penstock_worker.webhooks.rooms import IN_FLIGHT, PER_HOST, PER_WORKSPACE, rooms

FLOWS = st.tuples(st.sampled_from("abcde"), st.sampled_from("vwxyz0123456789"))


@given(st.lists(FLOWS, unique=True), st.dictionaries(FLOWS, st.integers(0, PER_HOST)))
def test_rooms_never_exceed_a_bound(due, flying) -> None:
    given_rooms = rooms(due, flying=flying, served={})
    total = Counter(flying) + Counter(given_rooms)
    of_workspace: Counter[str] = Counter()
    for (workspace, _), count in total.items():
        of_workspace[workspace] += count
    assert all(total[flow] <= PER_HOST for flow in given_rooms)
    assert all(of_workspace[flow[0]] <= PER_WORKSPACE for flow in given_rooms)
    if given_rooms:
        assert total.total() <= IN_FLIGHT


def test_rooms_let_one_host_have_few() -> None:
    assert rooms([("acme", "dead")], flying={}, served={}) == {("acme", "dead"): PER_HOST}


def test_rooms_go_to_who_has_fewest_under_way() -> None:
    busy = {(f"w{number}", "dead"): PER_HOST for number in range(IN_FLIGHT // PER_HOST - 1)}
    flying = busy | {("last", "dead"): PER_HOST - 1}
    assert rooms([*busy, ("last", "dead"), ("new", "well")], flying=flying, served={}) == {
        ("new", "well"): 1
    }


def test_rooms_go_round_when_there_are_too_few() -> None:
    flows = [(f"w{number:03}", "host") for number in range(2 * IN_FLIGHT)]
    first = rooms(flows, flying={}, served={})
    second = rooms(flows, flying={}, served=dict.fromkeys(first, 1))
    assert first.keys() | second.keys() == set(flows)
