"""The worker's commands, added to `penstock` through the entry-point group `penstock.commands`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds `worker`, `steward` and `simulator` to the command line."""
    app.command("worker", epilog="Example: penstock worker --provider openai --concurrency 200")(
        worker
    )
    app.command("steward", epilog="Example: penstock steward")(steward)
    app.command("simulator", epilog="Example: penstock simulator --port 9100 --latency-ms 200")(
        simulator
    )


JsonLogs = Annotated[bool, typer.Option("--json-logs", help="Write logs as JSON lines.")]


def worker(
    provider: Annotated[str, typer.Option(help="The provider to work for, as in the catalogue.")],
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=5000, help="Calls in flight at most; default: the provider's."),
    ] = None,
    drain_s: Annotated[
        float, typer.Option(min=1, help="Seconds that calls under way get to finish on SIGTERM.")
    ] = 60,
    json_logs: JsonLogs = False,
) -> None:
    """Run calls of one provider until SIGTERM; start more of these to scale that provider."""
    import uvloop

    from penstock_client.settings import Settings
    from penstock_worker.compose import run_worker
    from penstock_worker.credentials import environment
    from penstock_worker.logs import configure_logs

    configure_logs(json=json_logs)
    _settle_garbage_collector()
    variables = environment(os.environ, folder=Path.cwd())
    uvloop.run(
        run_worker(provider, Settings(), variables, concurrency=concurrency, drain_s=drain_s)
    )


def _settle_garbage_collector() -> None:
    """Leave what was imported out of every collection, and collect less often: jobs hold no cycles.

    Measured to save a worker about a tenth of its CPU.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def steward(json_logs: JsonLogs = False) -> None:
    """Keep the index true to the ledger until SIGTERM. One is needed; more do no harm."""
    import uvloop

    from penstock_client.settings import Settings
    from penstock_worker.compose import run_steward
    from penstock_worker.logs import configure_logs

    configure_logs(json=json_logs)
    uvloop.run(run_steward(Settings()))


def simulator(  # noqa: PLR0917 - options of a command
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 9100,
    latency_ms: Annotated[float, typer.Option(min=0, help="Time to each answer.")] = 0,
    jitter_ms: Annotated[float, typer.Option(min=0, help="Spread of that time.")] = 0,
    seed: Annotated[int, typer.Option(help="Makes the spread repeatable.")] = 0,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    canned: Annotated[
        bool, typer.Option("--canned", help="Fixed minimal answers, to measure the rest.")
    ] = False,
) -> None:
    """Serve simulated providers on loopback: every answer is computed here and says so."""
    import uvloop

    from penstock_worker.simulator.server import run

    def ready(url: str) -> None:
        typer.echo(f"simulated providers at {url}, for example {url}/openai/v1")

    uvloop.run(
        run(
            host=host,
            port=port,
            latency_ms=latency_ms,
            jitter_ms=jitter_ms,
            seed=seed,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            canned=canned,
            on_ready=ready,
        )
    )
