"""COMPUTE functions that write down each call: to `HYGIENE_LOG`, a line when it begins and ends."""

from __future__ import annotations

import os
import time
from typing import Any

from penstock_client import compute


def _note(what: str) -> None:
    file = os.open(os.environ["HYGIENE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{what}\n".encode())
    os.close(file)


@compute
def find(count: int) -> list[dict[str, Any]]:
    """As many records, after a while."""
    _note("begin find")
    time.sleep(1.0)
    _note("end find")
    return [{"name": f"deal {number}", "notes": "quiet since May"} for number in range(count)]


@compute
def score(record: dict[str, Any], index: int) -> int:
    """One record of a fan-out."""
    _note(f"begin score {index}")
    time.sleep(0.2)
    _note(f"end score {index}")
    return index


@compute
def report(scores: list[int]) -> dict[str, Any]:
    """A fan-in."""
    _note("begin report")
    time.sleep(0.5)
    _note("end report")
    return {"scores": sum(scores), "records": len(scores)}
