"""Logs of a process: one line each, on stderr, with stable fields."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import orjson
import pytest

from penstock_worker.logs import configure_logs


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Process-wide settings go back to what the other tests expect."""
    root, ours = logging.getLogger(), logging.getLogger("penstock")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before[0], before[1], before[2]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_logs_are_json_with_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True)
    logging.getLogger("penstock.worker").info("job.settled", extra={"job_id": "j-1", "attempt": 2})
    (line,) = lines(capsys)
    fields = orjson.loads(line)
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {"event": "job.settled", "level": "info", "job_id": "j-1", "attempt": 2}


def test_logs_as_text_begin_with_time_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=False)
    logging.getLogger("penstock.worker").warning("job.lost", extra={"job_id": "j-1"})
    (line,) = lines(capsys)
    assert [part.partition("=")[0] for part in line.split(" ")] == [
        "timestamp",
        "level",
        "event",
        "job_id",
    ]


def test_logs_of_an_exception_stay_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True)
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("penstock.worker").exception("attempt.internal_error")
    (line,) = lines(capsys)
    assert "ValueError: bad" in orjson.loads(line)["exception"]


@pytest.mark.parametrize(("level", "events"), [("info", 1), ("WARNING", 0)])
def test_logs_below_the_level_are_left_out(
    level: str, events: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(json=True, level=level)
    logging.getLogger("penstock.client").info("quiet")
    assert len(lines(capsys)) == events


def test_logs_of_libraries_show_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True)
    library = logging.getLogger("aiohttp.client")
    library.info("chatter")
    library.warning("trouble")
    assert [orjson.loads(line)["event"] for line in lines(capsys)] == ["trouble"]


def test_logs_configured_twice_are_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json=True)
    configure_logs(json=True)
    logging.getLogger("penstock.worker").info("once")
    assert len(lines(capsys)) == 1
