"""The direct path: one request, and an answer that is whole or none at all."""

from __future__ import annotations

import asyncio
import logging
import tomllib
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from penstock_client import DirectResult, call_direct, direct
from penstock_client.direct import GROUP, NOT_INSTALLED
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

MODEL = "anthropic/claude-sonnet-4-20250514"
PROMPT, SECRET_ANSWER = "the launch code is 0000", "never to be logged"


class Verdict(BaseModel):
    """What a guard says."""

    safe: bool
    score: int


@pytest.fixture(autouse=True)
def credentials(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key for one provider, found as an installed worker is."""
    monkeypatch.chdir(tmp_path)
    for name in ("PENSTOCK_DATABASE_URL", "PENSTOCK_REDIS_URL", "PENSTOCK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-simulated-1")
    monkeypatch.setenv("PENSTOCK_ANTHROPIC_BASE_URL", simulator.base_url("anthropic"))
    found = [EntryPoint("worker", "penstock_worker.direct:call", GROUP)]
    monkeypatch.setattr(direct, "entry_points", lambda *, group: found if group == GROUP else [])


@pytest.fixture
def line(caplog: pytest.LogCaptureFixture) -> Callable[[], logging.LogRecord]:
    """The one line of the security log."""
    caplog.set_level(logging.INFO, logger="penstock.security")

    def only() -> logging.LogRecord:
        (record,) = [one for one in caplog.records if one.name == "penstock.security"]
        return record

    return only


def answers(simulator: Simulator, text: str, *, stop: str = "end_turn", **fields: Any) -> None:
    """The provider's next answers are these words."""
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop,
        "usage": {"input_tokens": 7, "output_tokens": 3},
        **fields,
    }
    simulator.faults.add(Fault(kind="status", status=200, body=orjson.dumps(body).decode()))


def is_closed(result: DirectResult) -> bool:
    return (result.status, result.text, result.output) == ("error", None, None)


async def test_call_direct_answers(line) -> None:
    result = await call_direct(PROMPT, model=MODEL, agent="guard", task_type="screen")
    assert result.ok and result.text and result.reason is None
    assert (result.provider, result.model, result.simulated) == ("anthropic", MODEL, True)
    assert result.input_tokens > 0 and result.output_tokens > 0
    assert result.cost_usd is not None and result.cost_usd > 0


async def test_security_log_has_one_line_without_prompt_or_answer(
    simulator: Simulator, line
) -> None:
    answers(simulator, SECRET_ANSWER)
    result = await call_direct(PROMPT, model=MODEL, agent="guard", task_type="screen")
    assert result.text == SECRET_ANSWER
    told = line().__dict__
    assert PROMPT not in str(told) and SECRET_ANSWER not in str(told)
    assert "key-simulated-1" not in str(told)
    names = ("provider", "model", "agent", "task_type", "input_tokens", "output_tokens", "status")
    assert [told[name] for name in names] == [
        "anthropic",
        MODEL,
        "guard",
        "screen",
        7,
        3,
        "success",
    ]
    assert told["duration_ms"] >= 0 and told["time"]


async def test_result_shows_neither_text_nor_output_in_its_repr(simulator: Simulator) -> None:
    answers(simulator, SECRET_ANSWER)
    assert SECRET_ANSWER not in repr(await call_direct(PROMPT, model=MODEL))


@pytest.mark.parametrize(
    ("stop", "told"),
    [
        ("max_tokens", "cut off"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("something_new", "unknown"),
        ("tool_use", "tool_calls"),
    ],
)
async def test_answer_that_is_not_whole_is_none(
    simulator: Simulator, line, stop: str, told: str
) -> None:
    answers(simulator, SECRET_ANSWER, stop=stop)
    result = await call_direct(PROMPT, model=MODEL)
    assert is_closed(result)
    assert told in str(result.reason)
    assert result.output_tokens == 3 and result.cost_usd == Decimal("0.000066")
    assert line().__dict__["status"] == "error"
    assert SECRET_ANSWER not in str(line().__dict__)


async def test_empty_answer_is_none(simulator: Simulator) -> None:
    answers(simulator, "  ")
    assert is_closed(await call_direct(PROMPT, model=MODEL))


async def test_structured_answer_is_an_instance(simulator: Simulator) -> None:
    answers(simulator, '{"safe": true, "score": 3}')
    result = await call_direct(PROMPT, model=MODEL, schema=Verdict)
    assert result.output == Verdict(safe=True, score=3)


@pytest.mark.parametrize(
    "text",
    [
        '{"safe": true}',
        '{"safe": "perhaps", "score": 1}',
        '{"safe": true, "score": 3',
        "I would say it is safe",
        'Sure: {"safe": true, "score": 3}',
        "",
    ],
)
async def test_answer_that_does_not_fit_the_schema_is_none(simulator: Simulator, text: str) -> None:
    answers(simulator, text)
    assert is_closed(await call_direct(PROMPT, model=MODEL, schema=Verdict))


async def test_json_that_is_cut_off_is_not_mended(simulator: Simulator) -> None:
    answers(simulator, '{"safe": true, "reasons": ["a", ')
    assert is_closed(await call_direct(PROMPT, model=MODEL, json=True))


@pytest.mark.parametrize("kind", ["status", "drop_before", "drop_after", "truncated"])
async def test_failure_is_not_tried_again(simulator: Simulator, kind: Any) -> None:
    simulator.faults.add(Fault(kind=kind, status=529, count=1))
    assert is_closed(await call_direct(PROMPT, model=MODEL))
    assert (await call_direct(PROMPT, model=MODEL)).ok  # the fault was used up by one request


async def test_hanging_provider_ends_in_time(simulator: Simulator, line) -> None:
    simulator.faults.add(Fault(kind="hang", delay_s=30))
    async with asyncio.timeout(20):
        result = await call_direct(PROMPT, model=MODEL, timeout_s=0.2)
    assert is_closed(result)
    assert "0.2 s" in str(result.reason)
    assert line().__dict__["error"] == "timeout"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "nobody/model"}, "nobody"),
        ({"model": "what-is-this"}, "what-is-this"),
        ({"model": "openai/gpt-4o"}, "OPENAI_API_KEY"),
        ({"temperature": 5.0}, "temperature"),
        ({"timeout_s": -1.0}, "timeout_s"),
        ({"timeout_s": None}, "TypeError"),
        ({"schema": 5}, "schema"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "exclude"),
    ],
)
async def test_what_cannot_be_asked_is_an_error_and_no_exception(
    monkeypatch: pytest.MonkeyPatch, line, changes: dict[str, Any], told: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = await call_direct(PROMPT, **{"model": MODEL, **changes})
    assert is_closed(result)
    assert told in str(result.reason)
    assert PROMPT not in str(line().__dict__)


async def test_key_comes_from_a_dotenv_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert is_closed(await call_direct(PROMPT, model=MODEL))
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=key-simulated-2\n")
    assert (await call_direct(PROMPT, model=MODEL)).ok


async def test_broken_configuration_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "penstock.toml").write_text("[[")
    assert is_closed(await call_direct(PROMPT, model=MODEL))


async def test_broken_log_breaks_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    logger = logging.getLogger("penstock.security")
    monkeypatch.setattr(logger, "handlers", [Broken()])
    monkeypatch.setattr(logger, "level", logging.INFO)
    assert (await call_direct(PROMPT, model=MODEL)).ok


async def test_cancelling_ends_the_call_and_is_logged(simulator: Simulator, line) -> None:
    simulator.faults.add(Fault(kind="hang", delay_s=30))
    task = asyncio.create_task(call_direct(PROMPT, model=MODEL))
    async with asyncio.timeout(20):
        while not simulator.stats()["calls"]:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert line().__dict__["status"] == "cancelled"


async def test_without_the_worker_distribution_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(direct, "entry_points", lambda *, group: [])
    result = await call_direct(PROMPT, model=MODEL)
    assert is_closed(result) and result.reason == NOT_INSTALLED


def test_worker_declares_the_entry_point() -> None:
    project = Path(__file__).parents[2] / "worker" / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["entry-points"][GROUP]
    assert declared == {"worker": "penstock_worker.direct:call"}
