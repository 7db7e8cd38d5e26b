"""`penstock demo`: the stack in a folder of its own, three pieces of work on it, a report."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import orjson
from rich.console import Console

from penstock_client import Penstock, Settings
from penstock_schemas.catalog import catalog
from penstock_worker.demo.figures import ModelUsage, figures_of
from penstock_worker.demo.progress import Steps, steps
from penstock_worker.demo.report import print_next, print_report
from penstock_worker.demo.work import (
    WORKSPACE,
    classify,
    extract,
    reason,
)
from penstock_worker.up.interrupts import Interrupts, until_interrupted
from penstock_worker.up.plan import (
    Choice,
    Service,
    server_variables,
    simulator_service,
    steward_service,
    webhook_variables,
    worker_services,
)
from penstock_worker.up.servers import StackFailed, port_or_free, prepare, private_keys, servers
from penstock_worker.up.services import Hear, running, wait_until_ready
from penstock_worker.up.terminal import leave_telling_to_the_terminal

#: Simulated providers take 60 to 180 ms, 120 on average.
LATENCY_MS = 60
JITTER_MS = 120
_READY_WITHIN_S = 60.0
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of `penstock demo`."""

    messages: int
    keep: bool
    as_json: bool


def run_demo(options: DemoOptions, settings: Settings) -> int:
    """Run it; returns 0 when every job has an answer, 1 when not, 130 after Ctrl-C.

    Raises StackFailed, Unavailable, ResultTimeout.
    """
    leave_telling_to_the_terminal()
    console = Console(stderr=options.as_json, highlight=False)
    with _home(keep=options.keep) as home:
        own = settings.model_copy(update={"home": home, "redis_url": None, "database_url": None})

        async def work(interrupts: Interrupts) -> int:
            return await _run(options, own, console, forced=interrupts.forced)

        ending = until_interrupted(work, on_first=lambda: console.print("stopping"))
        exit_code = asyncio.run(ending)
    return _INTERRUPTED if exit_code is None else exit_code


async def _run(
    options: DemoOptions, settings: Settings, console: Console, *, forced: asyncio.Event
) -> int:
    started_at, since = time.perf_counter(), datetime.now(UTC) - timedelta(minutes=1)
    console.print("[bold]Penstock demo[/]  real queue, ledger and workers; simulated providers")
    async with AsyncExitStack() as stack:
        with steps(console) as shown:
            ready = await _start(stack, settings, shown, forced=forced)
            penstock = await stack.enter_async_context(Penstock.connect(settings=ready))
            title = f"classify {options.messages:,} support messages"
            with shown.step(title, parts=options.messages) as advance:
                classified = await classify(penstock, count=options.messages, advance=advance)
            with shown.step("extract 24 orders", parts=24) as advance:
                extracted = await extract(penstock, advance=advance)
            with shown.step("reason about one question") as advance:
                reasoned = await reason(penstock, classified, advance=advance)
        figures = figures_of(
            classified,
            extracted,
            reasoned,
            usage=await _usage(penstock, since),
            total_s=time.perf_counter() - started_at,
        )
        if options.as_json:
            text = orjson.dumps(figures.as_data(), option=orjson.OPT_INDENT_2).decode()
            Console(soft_wrap=True, highlight=False, markup=False).print(text)
        else:
            console.print()
            print_report(
                console, figures, classified=classified, extracted=extracted, reasoned=reasoned
            )
            print_next(console, kept=str(settings.home) if options.keep else None)
    return 0 if figures.succeeded else 1


async def _usage(penstock: Penstock, since: datetime) -> list[ModelUsage]:
    fields = ("provider", "model", "calls", "input_tokens", "output_tokens", "cost_usd")
    rows = await penstock.ledger.usage_by_model(WORKSPACE, since)
    return [ModelUsage(**{name: row[name] for name in fields}) for row in rows]


async def _start(
    stack: AsyncExitStack, settings: Settings, shown: Steps, *, forced: asyncio.Event
) -> Settings:
    """Servers, steward, simulator and the workers that the demo's routes lead to."""
    with shown.step("start Valkey and PostgreSQL"):
        ready = await stack.enter_async_context(servers(settings, on_restart=lambda _: None))
    with shown.step("create tables and workspace"):
        await prepare(ready)
    addresses = server_variables(
        redis_url=ready.require_redis(), database_url=ready.require_database()
    ) | webhook_variables(settings)
    keys = private_keys(settings, {}, own=True)
    hear = stack.enter_context(_logs(settings.home / "logs"))
    with shown.step("start steward, simulator, workers"):
        started = await stack.enter_async_context(
            running(
                _services(addresses, keys),
                hear=hear,
                note=hear,
                death_signal=signal.SIGKILL,
                forced=forced,
            )
        )
        late = await wait_until_ready(started, within_s=_READY_WITHIN_S)
    if late:
        raise StackFailed(
            f"{', '.join(late)} did not start: run `penstock demo --keep` and read the logs "
            f"in its folder ({settings.home})"
        )
    return ready


def _services(addresses: dict[str, str], keys: dict[str, str]) -> list[Service]:
    models = catalog()
    routes = {models.capabilities[name].model for name in ("classify", "extract", "reason")}
    names = sorted({models.model(route).provider for route in routes})
    choice = Choice(providers=tuple(map(models.provider, names)), simulated=True)
    port = port_or_free(0)
    return [
        steward_service({**addresses, **keys}),
        simulator_service(port=port, latency_ms=LATENCY_MS, jitter_ms=JITTER_MS),
        *worker_services(
            choice, {**addresses, **keys}, workers=1, concurrency=None, simulator_port=port
        ),
    ]


@contextmanager
def _home(*, keep: bool) -> Generator[Path]:
    """A folder of its own, so that the demo never meets a running `penstock up`."""
    home = Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    try:
        yield home
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _logs(folder: Path) -> Generator[Hear]:
    """Writes each child's lines into a file of its own."""
    files: dict[str, BinaryIO] = {}

    def hear(name: str, line: str) -> None:
        if name not in files:
            files[name] = (folder / f"{name}.log").open("ab", buffering=0)
        files[name].write(line.encode() + b"\n")

    try:
        yield hear
    finally:
        for file in files.values():
            file.close()
