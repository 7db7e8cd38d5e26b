"""Reading rows: JSON lines and CSV, and every way in which a line can be no row."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_client.backfill import Plan, Source
from penstock_client.backfill.source import Malformed, Row
from penstock_schemas.errors import InvalidJob

PLAN = Plan(workspace="acme", kind="classify", labels=("a", "b"))


def source_of(folder: Path, name: str, data: bytes | str) -> Source:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return Source(path, "id")


def lines_of(source: Source) -> list[tuple[int, object]]:
    return [
        (row.line, row.message if isinstance(row, Malformed) else row.row_id)
        for row in source.rows()
    ]


def test_json_rows_keep_their_line_and_the_type_of_their_id(tmp_path: Path) -> None:
    data = '\ufeff{"id": 1, "text": "x"}\n\n{"id": "b", "text": "y"}'
    assert lines_of(source_of(tmp_path, "in.jsonl", data)) == [(1, 1), (3, "b")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"text": "x"}', "has no 'id'"),
        (b'{"id": "", "text": "x"}', "has no 'id'"),
        (b'{"id": 1.5}', "neither text nor an integer"),
        (b'{"id": true}', "neither text nor an integer"),
        (b'{"id": 1, "text": "\xff"}', "not JSON"),
    ],
)
def test_malformed_json_line_leaves_the_others_unharmed(
    tmp_path: Path, line: bytes, message: str
) -> None:
    source = source_of(tmp_path, "in.jsonl", b'{"id": 1}\n' + line + b'\n{"id": 2}\n')
    (one, wrong, two) = lines_of(source)
    assert (one, two) == ((1, 1), (3, 2))
    assert message in str(wrong[1])


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1)))
def test_csv_rows_are_what_a_csv_writer_wrote(texts: list[str]) -> None:
    import tempfile

    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow(["id", "text"])
    writer.writerows(enumerate(texts))
    with tempfile.TemporaryDirectory() as folder:
        rows = list(source_of(Path(folder), "in.csv", written.getvalue()).rows())
    assert [row.fields["text"] for row in rows if isinstance(row, Row)] == texts


def test_csv_row_of_several_lines_is_named_by_its_first(tmp_path: Path) -> None:
    source = source_of(tmp_path, "in.csv", 'id,text\n1,"a\nb"\n2,c\n')
    assert lines_of(source) == [(2, "1"), (4, "2")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [(b"7", "has 1 columns"), (b"7,a,b", "has 3 columns"), (b"7,\xff", "UTF-8")],
)
def test_csv_row_with_a_problem_keeps_its_id(tmp_path: Path, line: bytes, problem: str) -> None:
    (row,) = source_of(tmp_path, "in.csv", b"id,text\n" + line + b"\n").rows()
    assert isinstance(row, Row)
    assert row.row_id == "7"
    with pytest.raises(InvalidJob, match=problem):
        PLAN.asked(row)


async def test_csv_header_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match="'text' is not a column"):
        await source_of(tmp_path, "in.csv", "id,body\n1,x\n").check(PLAN.needed_fields)


async def test_json_array_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match="jq -c"):
        await source_of(tmp_path, "in.jsonl", '[{"id": 1}]').check(frozenset())


async def test_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match=r"none\.jsonl cannot be read"):
        await Source(tmp_path / "none.jsonl", "id").check(frozenset())


async def test_pages_begin_after_the_rows_that_are_there(tmp_path: Path) -> None:
    source = source_of(tmp_path, "in.jsonl", b'{"id": 1}\nwhat\n{"id": 3}\n')
    assert [row.line async for page in source.pages(1) for row in page] == [2, 3]


async def test_fingerprint_changes_with_the_rows_and_the_id(tmp_path: Path) -> None:
    one = source_of(tmp_path, "a.jsonl", b'{"id": 1}\n')
    same = source_of(tmp_path, "b.jsonl", b'{"id": 1}\n')
    other = source_of(tmp_path, "c.jsonl", b'{"id": 2}\n')
    prints = [await each.fingerprint() for each in (one, same, other, Source(one.path, "key"))]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
