"""Commands where a gateway is named and no server."""

from __future__ import annotations

import asyncio

import pytest

from penstock_client import Penstock
from penstock_client.cli.main import main
from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE
from tests.remote.conftest import WorkFor

SUBMIT = ("submit", "-w", "acme", "-c", "classify", "--text", "I want a refund")
LABELS = ("--label", "refund", "--label", "praise")


@pytest.fixture(autouse=True)
def environment(gateway: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the gateway alone."""
    monkeypatch.delenv(REDIS_VARIABLE, raising=False)
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    monkeypatch.setenv("PENSTOCK_URL", gateway)
    monkeypatch.setenv("PENSTOCK_TOKEN", token)


def exit_code(*args: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(args)
    return ended.value.code or 0


async def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str, str]:
    """Exit code, output and errors of a command."""
    code = await asyncio.wait_for(asyncio.to_thread(exit_code, *args), timeout=30)
    return code, *capsys.readouterr()


async def test_submit_waits_for_the_answer(
    work_for: WorkFor, capsys: pytest.CaptureFixture[str]
) -> None:
    await work_for("fireworks")
    code, out, err = await run(capsys, *SUBMIT, *LABELS, "--wait")
    assert (code, out) == (0, "refund\n"), err


async def test_job_is_explained_and_cancelled(
    penstock: Penstock, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = await run(capsys, *SUBMIT, *LABELS)
    job_id = out.strip()
    code, out, err = await run(capsys, "explain", job_id)
    assert (code, "queued" in out) == (0, True), err
    code, out, err = await run(capsys, "jobs", "cancel", job_id, "--json")
    assert code == 0, err
    assert (await penstock.result(job_id, timeout_s=20)).status.label == "cancelled"


async def test_command_that_needs_the_servers_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = await run(capsys, "limits", "list")
    assert code == 2
    assert "PENSTOCK_REDIS_URL" in err
