"""A stack with something to see: simulated providers at work, one held back, one refused, one down.

Calls of the last month stand in the ledger too, marked as simulated, so that usage has a past.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson
import uvicorn

from examples.pipeline_hygiene import DEALS, HYGIENE, Inputs
from penstock_client import Classify, Extract, Generate, Penstock, Settings
from penstock_client.backfill import Plan
from penstock_client.backfill.options import BackfillOptions
from penstock_client.backfill.source import Source
from penstock_client.ledger import migrate
from penstock_gateway.app import create_app
from penstock_schemas.results import Result
from penstock_worker.compose import run_steward, run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.embedded import EmbeddedStack
from penstock_worker.pipelines.compute_process import run_compute
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from penstock_worker.up.servers import private_keys

WORKSPACE: Final = "acme"
_BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
_LABELS = ("cancel_subscription", "invoice_request", "password_reset", "refund", "shipping_delay")
_ORDER = {
    "type": "object",
    "properties": {
        "customer_name": {"type": "string"},
        "order_number": {"type": "string"},
        "total_amount": {"type": "number"},
    },
    "required": ["customer_name", "order_number"],
}
#: Provider -> slots of its worker. The last one's worker gets no key that is good.
_WORKERS = {"openai": 40, "anthropic": 24, "fireworks": 16, "deepseek": 8, "mistral": 8}
_PAST_CALLS, _PAST_DAYS = 40_000, 28
#: The past's models, by the name that the statement gives them.
_PAST_MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5-20251001",
    "fireworks": "gpt-oss-120b",
}
#: Why some had no answer, the likelier ones more than once.
_PAST_ERRORS = (*("server_error",) * 3, *("interrupted",) * 2, "invalid_output", "content_filter")
_PAST_SKILLS = ("triage", "orders", "letters", "summaries")


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the gateway is, who may look, and what there is to look at: page -> path."""

    url: str
    token: str
    paths: dict[str, str]


class _Messages(Source):
    """A file that is called by its name alone."""

    @property
    def origin(self) -> str:
        """The file's name."""
        return self.path.name


@asynccontextmanager
async def scene(home: Path) -> AsyncGenerator[Scene]:
    """Starts it all, and gives it when there is something to see."""
    async with AsyncExitStack() as running:
        stack = await running.enter_async_context(EmbeddedStack(home / "stack"))
        simulator = await running.enter_async_context(Simulator(latency_ms=900, jitter_ms=1400))
        connection = await asyncpg.connect(stack.database_url)
        running.push_async_callback(connection.close)
        await migrate(connection)
        settings = Settings(
            redis_url=stack.redis_url, database_url=stack.database_url, home=home, smoke_test=False
        )
        _trouble(simulator)
        url = await _processes(running, settings, simulator)
        penstock = await running.enter_async_context(Penstock.connect(settings=settings))
        token = await _workspaces(penstock)
        await _past(connection)
        paths = await _work(running, penstock, home)
        yield Scene(url, token, paths)


def _trouble(simulator: Simulator) -> None:
    simulator.limits.set("openai", requests_per_minute=900, tokens_per_minute=120_000)
    simulator.limits.set("anthropic", requests_per_minute=600, tokens_per_minute=80_000)
    simulator.faults.add(Fault(kind="status", provider="fireworks", status=500, probability=0.04))
    simulator.faults.add(Fault(kind="status", provider="deepseek", status=503))
    simulator.faults.add(Fault(kind="status", provider="mistral", status=401))


async def _processes(running: AsyncExitStack, settings: Settings, simulator: Simulator) -> str:
    keys = private_keys(settings, {}, own=True)
    _background(running, run_steward(settings, keys, handle_signals=False))
    for provider, slots in _WORKERS.items():
        variables = {
            **keys,
            base_url_variable(provider): simulator.base_url(provider),
            f"{provider.upper()}_API_KEY": "sk-simulated",
        }
        work = run_worker(
            provider, settings, variables, concurrency=slots, drain_s=1, handle_signals=False
        )
        _background(running, work)
    compute = run_compute(
        settings, ["examples.pipeline_hygiene"], drain_s=0.1, grace_s=5, handle_signals=False
    )
    _background(running, compute)
    return await _gateway(running, settings)


async def _gateway(running: AsyncExitStack, settings: Settings) -> str:
    """A gateway in a thread of its own, where uvicorn leaves the signals alone."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="gateway", daemon=True)
    thread.start()

    async def stop() -> None:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 20)

    running.push_async_callback(stop)
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the gateway does not start")
        await asyncio.sleep(0.05)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def _background(running: AsyncExitStack, work: Coroutine[Any, Any, Any]) -> None:
    task = asyncio.ensure_future(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    running.push_async_callback(stop)


async def _workspaces(penstock: Penstock) -> str:
    for name, tokens in ((WORKSPACE, 40_000_000), ("northwind", None), ("tailspin", None)):
        await penstock.workspaces.create(name, monthly_tokens=tokens)
    await penstock.tokens.create("ci", workspace=WORKSPACE)
    await penstock.keys.set(WORKSPACE, "google", "sk-simulated-0001", validate=False)
    return (await penstock.tokens.create("operator")).secret


async def _past(connection: asyncpg.Connection) -> None:
    """A month of calls that the simulator might have answered, with their sums by the hour."""
    since = datetime.now(UTC) - timedelta(days=_PAST_DAYS)
    await connection.fetchval("select penstock.ensure_partitions($1, 8)", since)
    fill = (_BENCHMARKS / "usage_ledger.sql").read_text("utf-8")
    await connection.execute(fill, _PAST_CALLS, WORKSPACE, _PAST_DAYS, timeout=120)
    for provider, model in _PAST_MODELS.items():
        for table in ("jobs", "attempts"):
            text = f"update penstock.{table} set model = $2 where provider = $1"
            await connection.execute(text, provider, model, timeout=120)
    await connection.execute(
        "update penstock.attempts set simulated = true, error_kind = case when state = 11 "
        "then ($1::text[])[1 + abs(hashtext(job_id::text)) % 7] end",
        list(_PAST_ERRORS),
        timeout=120,
    )
    await connection.execute(
        "update penstock.jobs set skill = ($1::text[])[1 + abs(hashtext(skill)) % 4], "
        "last_error = case when state = 11 then ($2::text[])[1 + abs(hashtext(id::text)) % 7] end",
        list(_PAST_SKILLS),
        list(_PAST_ERRORS),
        timeout=120,
    )
    sum_up = (_BENCHMARKS / "usage_hours.sql").read_text("utf-8")
    await connection.execute(sum_up, WORKSPACE, timeout=120)
    for table in ("jobs", "attempts", "usage_hours"):
        await connection.execute(f"vacuum analyze penstock.{table}", timeout=120)


async def _work(running: AsyncExitStack, penstock: Penstock, home: Path) -> dict[str, str]:
    backfill = await _backfill(penstock, home)
    run = await _run(penstock)
    await _stuck(penstock)
    done = await _answered(penstock)
    _background(running, _stream(penstock))
    await asyncio.sleep(22)  # throughput is told over 20 seconds
    waiting = (await penstock.submit(_letter("deepseek/deepseek-chat", 7))).job_id
    return {
        "login": "/login",
        "overview": "/",
        "jobs": f"/jobs?workspace={WORKSPACE}",
        "job": f"/jobs/{done.job_id}",
        "job-waiting": f"/jobs/{waiting}",
        "failed": f"/failed?workspace={WORKSPACE}",
        "backfills": f"/backfills?workspace={WORKSPACE}",
        "backfill": f"/backfills/{backfill}",
        "runs": f"/runs?workspace={WORKSPACE}",
        "run": f"/runs/{run}",
        "playground": f"/playground?workspace={WORKSPACE}",
        "usage": f"/usage?workspace={WORKSPACE}",
        "settings": f"/settings?workspace={WORKSPACE}",
    }


async def _backfill(penstock: Penstock, home: Path) -> str:
    rows = home / "messages.jsonl"
    texts = cycle(_texts("support_messages"))
    lines = (
        orjson.dumps({"id": f"message-{n:05}", "text": f"{next(texts)} ({n})"}) for n in range(6000)
    )
    rows.write_bytes(b"\n".join(lines))
    plan = Plan(
        workspace=WORKSPACE, kind="classify", labels=_LABELS, model="anthropic/claude-haiku-5-5"
    )
    options = BackfillOptions(window=400)
    source = _Messages(rows, "id")
    return (await penstock.backfills.start(plan, source, options=options)).backfill_id


async def _run(penstock: Penstock) -> str:
    inputs = Inputs(deals=list(DEALS), today=date(2026, 11, 21))
    first = await penstock.runs.start(HYGIENE, workspace=WORKSPACE, inputs=inputs)
    await penstock.runs.start(HYGIENE, workspace="northwind", inputs=inputs)
    return first.run_id


async def _stuck(penstock: Penstock) -> None:
    """Work at providers that are down, or refuse the key."""
    down = [_letter("deepseek/deepseek-chat", n) for n in range(14)]
    refused = [_letter("mistral/mistral-small-latest", n, workspace="tailspin") for n in range(9)]
    await penstock.submit_many([*down, *refused])


async def _answered(penstock: Penstock) -> Result:
    order = _texts("orders")[0]
    job = Extract(
        workspace=WORKSPACE,
        text=order,
        schema=_ORDER,
        model="openai/gpt-4o-mini",
        skill="orders",
        session_key="order-A-10423",
    )
    return await penstock.call(job, timeout_s=60)


async def _stream(penstock: Penstock) -> None:
    """Work that keeps coming, for as long as somebody looks."""
    messages = cycle(_texts("support_messages"))
    while True:
        await penstock.submit_many(list(_some(messages, 24)))
        await asyncio.sleep(1)


def _some(messages: Iterator[str], count: int) -> Iterator[Classify | Generate]:
    for number in range(count):
        workspace = random.choice((WORKSPACE, WORKSPACE, "northwind", "tailspin"))
        if number % 3 == 0:
            yield _letter("fireworks/gpt-oss-120b", number, workspace=workspace)
        else:
            yield Classify(
                workspace=workspace,
                text=next(messages),
                labels=_LABELS,
                model="openai/gpt-4o-mini",
                skill="triage",
            )


def _letter(model: str, number: int, *, workspace: str = WORKSPACE) -> Generate:
    prompt = (
        f"Write two sentences to the customer of order A-{10_400 + number}: it ships on Friday."
    )
    return Generate(workspace=workspace, prompt=prompt, model=model, skill="letters")


def _texts(name: str) -> Sequence[str]:
    text = (files("penstock_worker.demo_data") / f"{name}.jsonl").read_text("utf-8")
    return [orjson.loads(line)["text"] for line in text.splitlines()]
