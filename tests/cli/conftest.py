"""Running `penstock` inside the test, against the servers of the test process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from penstock_client.cli.main import main
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE
from penstock_worker.embedded import EmbeddedStack


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("jobs", "--json")` runs a command and gives its exit code and output."""

    def command(*args: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(args)
        out, err = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, out, err)

    return command


@pytest.fixture
def servers(stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a command points at the stack."""
    monkeypatch.setenv(REDIS_VARIABLE, stack.redis_url)
    monkeypatch.setenv(DATABASE_VARIABLE, stack.database_url)
