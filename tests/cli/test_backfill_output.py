"""The output file: what survives a kill, what is refused, and that no ID stands in it twice."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.backfill.answers import answer_line, invalid_line
from penstock_client.backfill.index import RowIndex
from penstock_client.backfill.output import Output
from penstock_client.backfill.source import RowId, key_of
from penstock_schemas.errors import InvalidJob
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.results import Result
from penstock_schemas.status import JobState

RESULT = Result(
    job_id=JobId("019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11"),
    workspace=WorkspaceId("acme"),
    status=JobState.SUCCEEDED,
    output="a",
)


def good(row_id: RowId) -> bytes:
    return answer_line(row_id, RESULT, as_text=False)


def bad(row_id: RowId) -> bytes:
    return invalid_line(row_id, "in.jsonl:1: has no 'text'", as_text=False)


def ids_in(path: Path) -> list[RowId]:
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


async def recovered(path: Path, *lines: bytes, identity: str = "one") -> RowIndex:
    """Open and recover an output, write lines, close it; gives the index it filled."""
    index = RowIndex()
    with Output.open(path, identity) as output:
        await output.recover(index)
        for line in lines:
            output.write(line)
    return index


async def test_recover_knows_answers_and_forgets_failures(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(good(1) + bad(2) + good("three"))
    with await recovered(path) as index:
        assert [index.is_done(key_of(row_id)) for row_id in (1, 2, "three")] == [True, False, True]
    assert ids_in(path) == [1, "three"]


@given(st.integers(1, 10_000))
async def test_recover_keeps_whole_lines_wherever_the_last_is_torn(cut: int) -> None:
    import tempfile

    lines = good(1) + good(2) + good(3)
    kept = lines[: min(cut, len(lines))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.jsonl"
        path.write_bytes(kept)
        with await recovered(path, good(4)):
            assert ids_in(path) == [*range(1, kept.count(b"\n") + 1), 4]


async def test_recover_refuses_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("my notes")
    with pytest.raises(InvalidJob, match="no line of a backfill"):
        await recovered(path)
    assert path.read_text() == "my notes"
    assert list(tmp_path.iterdir()) == [path]


async def test_recover_refuses_answers_to_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    (await recovered(path, good(1), identity="one")).__exit__()
    with pytest.raises(InvalidJob, match="other settings"):
        await recovered(path, identity="two")
    assert ids_in(path) == [1]


async def test_output_without_answers_may_serve_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    (await recovered(path, bad(1), identity="one")).__exit__()
    (await recovered(path, good(1), identity="two")).__exit__()
    assert ids_in(path) == [1]


def test_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output.open(path, "one"), pytest.raises(InvalidJob, match="another backfill"):
        Output.open(path, "one")


def test_output_must_have_a_folder_and_not_be_one_or_the_input(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.touch()
    for path, message in [
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "out.jsonl", "no folder"),
        (source, "is the input"),
    ]:
        with pytest.raises(InvalidJob, match=message):
            Output.check(path, source=source)
