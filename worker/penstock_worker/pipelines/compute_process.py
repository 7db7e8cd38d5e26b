"""The composition root of a process of COMPUTE workers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from penstock_client.settings import Settings
from penstock_worker.compose import process_name, worker_servers
from penstock_worker.metrics import served_process
from penstock_worker.pipelines.calling import load_functions
from penstock_worker.pipelines.compute import GRACE_S, ComputeWorker

#: Calls at the same time where nothing else is said.
SLOTS = 10


async def run_compute(
    settings: Settings,
    modules: Sequence[str],
    *,
    slots: int | None = None,
    drain_s: float = 60,
    grace_s: float = GRACE_S,
    handle_signals: bool = True,
) -> None:
    """Call functions of these modules until SIGTERM or SIGINT, then drain.

    Raises ConfigurationError or Unavailable before it starts.
    """
    found = {module: load_functions(module) for module in dict.fromkeys(modules)}
    async with (
        worker_servers(settings) as (redis, ledger),
        served_process(settings, "penstock_compute"),
    ):
        workers = [
            ComputeWorker(
                module,
                functions,
                name=process_name(),
                ledger=ledger,
                redis=redis,
                slots=slots or SLOTS,
                grace_s=grace_s,
            )
            for module, functions in found.items()
        ]
        running = asyncio.gather(*(worker.run() for worker in workers))
        stop = asyncio.Event()
        if handle_signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            await asyncio.gather(*(worker.stop(drain_s=drain_s) for worker in workers))
            await running
