"""The processes that a benchmark starts: `python -m benchmarks.processes ROLE OPTIONS-AS-JSON`.

Each ends with the process that started it: its standard input is a pipe that then closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import provider


async def empty(ctx: dict[str, Any]) -> None:
    """An arq job that does nothing."""


def _steward(options: dict[str, Any]) -> None:
    from penstock_client import Settings
    from penstock_worker.compose import run_steward

    uvloop.run(run_steward(Settings(**options["settings"])))


def _worker(options: dict[str, Any]) -> None:
    """The command itself, so that whatever it sets up is measured too."""
    from penstock_worker.cli import worker

    os.environ |= options["variables"]
    worker(options["provider"], concurrency=options["concurrency"], drain_s=5)


def _provider(options: dict[str, Any]) -> None:
    uvloop.run(provider.serve(latency_s=options["latency_s"]))


def _simulator(options: dict[str, Any]) -> None:
    """The simulator, with limits, faults and latencies that the benchmark sets over HTTP."""
    from penstock_worker.simulator.server import run

    def ready(url: str) -> None:
        print(url, flush=True)

    uvloop.run(run(host="127.0.0.1", port=0, on_ready=ready, **options))


def _gateway(options: dict[str, Any]) -> None:
    """The command itself, so that whatever it sets up is measured too."""
    from penstock_gateway.cli import gateway

    os.environ |= options["variables"]
    gateway(port=options["port"])


def _echo(options: dict[str, Any]) -> None:
    """A bare application, served as the gateway is."""
    import uvicorn

    uvicorn.run("benchmarks.gateway:echo", factory=True, port=options["port"], access_log=False)


def _arq(options: dict[str, Any]) -> None:
    """Run what is queued, then print the jobs done, and the seconds and CPU seconds they took."""

    async def run() -> None:
        from arq.connections import RedisSettings
        from arq.worker import Worker

        worker = Worker(
            [empty],
            redis_settings=RedisSettings.from_dsn(options["redis_url"]),
            burst=True,
            max_jobs=options["max_jobs"],
            poll_delay=0.01,
            handle_signals=False,
        )
        began, cpu_began = time.perf_counter(), _own_cpu_s()
        await worker.async_run()
        took = {"seconds": time.perf_counter() - began, "cpu_s": _own_cpu_s() - cpu_began}
        print(json.dumps({"jobs": worker.jobs_complete, **took}), flush=True)
        await worker.close()

    uvloop.run(run())


def _awaits(options: dict[str, Any]) -> None:
    from benchmarks.awaits import await_all

    job_ids = Path(options["path"]).read_text().split("\n")
    uvloop.run(await_all(job_ids, options))


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _end_with_parent() -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(role: str, options: dict[str, Any]) -> None:
    """Play a role until SIGTERM."""
    _end_with_parent()
    roles = {
        "provider": _provider,
        "simulator": _simulator,
        "steward": _steward,
        "worker": _worker,
        "arq": _arq,
        "awaits": _awaits,
        "gateway": _gateway,
        "echo": _echo,
    }
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        roles[role](options)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
