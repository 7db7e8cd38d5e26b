"""What the index holds of a job: packing and unpacking."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_client.entries import Entry, Flow, pack_fence, unpack_fence

U32 = st.integers(0, 2**32 - 1)
U16 = st.integers(0, 2**16 - 1)
ENTRIES = st.builds(Entry, st.uuids(), U32, U32, U16, U16)
WORKSPACES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)


@settings(deadline=None)
@given(ENTRIES)
def test_entry_survives_its_28_bytes(entry: Entry) -> None:
    packed = entry.pack()
    assert len(packed) == 28
    assert Entry.unpack(packed) == entry


@settings(deadline=None)
@given(st.uuids(), st.integers(2**32, 2**70))
def test_entry_holds_larger_estimates_at_their_largest(job_id: object, tokens: int) -> None:
    read = Entry.unpack(Entry(job_id, tokens, tokens).pack())  # type: ignore[arg-type]
    assert (read.input_tokens, read.output_tokens) == (2**32 - 1, 2**32 - 1)


@settings(deadline=None)
@given(st.lists(st.uuids(), min_size=2, max_size=2))
def test_entries_sort_as_their_job_ids_do(job_ids: list[object]) -> None:
    packed = [Entry(job_id, 1, 1).pack() for job_id in sorted(job_ids)]  # type: ignore[arg-type, type-var]
    assert packed == sorted(packed)


@settings(deadline=None)
@given(WORKSPACES, st.integers(0, 2), st.text(min_size=1), st.just("") | WORKSPACES)
def test_flow_survives_its_name_whatever_the_model(
    workspace: str, lane: int, model: str, tag: str
) -> None:
    flow = Flow(workspace, lane, model, tag)
    assert Flow.parse(flow.name) == flow


@pytest.mark.parametrize("name", ["", "acme", "acme|0", "acme|x|m"])
def test_flow_refuses_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Flow.parse(name)


@settings(deadline=None)
@given(st.integers(1, 2**63 - 1))
def test_fence_survives_its_8_bytes(fence: int) -> None:
    assert len(pack_fence(fence)) == 8
    assert unpack_fence(pack_fence(fence)) == fence
