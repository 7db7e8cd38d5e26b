"""The worker's commands, added to `penstock` through the entry-point group `penstock.commands`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds `worker`, `steward`, `smoke`, `direct`, `simulator`, `up` and `demo`.

    And to `penstock keys` what only those may do who hold the private keys.
    """
    from penstock_worker import direct_command, keys_command

    keys_command.register(app)
    app.command("worker", epilog="Example: penstock worker --provider openai --concurrency 200")(
        worker
    )
    app.command("steward", epilog="Example: penstock steward")(steward)
    app.command("smoke", epilog="Example: penstock smoke --provider openai")(smoke)
    app.command(
        "direct",
        epilog="Example: penstock direct --model anthropic/claude-sonnet-4-20250514 --prompt Hello",
    )(direct_command.direct)
    app.command("simulator", epilog="Example: penstock simulator --port 9100 --latency-ms 200")(
        simulator
    )
    app.command("up", epilog="Example: penstock up --providers openai,anthropic --workers 2")(up)
    app.command("demo", epilog="Example: penstock demo --messages 1000")(demo)


MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        envvar="PENSTOCK_METRICS_PORT",
        help="Serve Prometheus metrics of this process on this port.",
    ),
]
JsonLogs = Annotated[bool, typer.Option("--json-logs", help="Write logs as JSON lines.")]


def worker(  # noqa: PLR0917 - options of a command
    provider: Annotated[
        str | None, typer.Option(help="The provider to work for, as in the catalogue.")
    ] = None,
    compute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", help="Instead call COMPUTE functions of this module; repeatable."
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=5000, help="Calls in flight at most; default: the provider's, 10 of COMPUTE."
        ),
    ] = None,
    drain_s: Annotated[
        float, typer.Option(min=1, help="Seconds that calls under way get to finish on SIGTERM.")
    ] = 60,
    metrics_port: MetricsPort = None,
    json_logs: JsonLogs = False,
) -> None:
    """Run calls of one provider until SIGTERM; start more of these to scale that provider.

    With --compute it calls the functions that a module marks with @compute, for the COMPUTE steps
    of pipelines.
    """
    if (provider is None) is (not compute):
        raise typer.BadParameter("give --provider or --compute", param_hint="'--provider'")
    import uvloop

    from penstock_client.settings import Settings
    from penstock_client.tracing import export_spans
    from penstock_worker.compose import run_worker
    from penstock_worker.credentials import environment
    from penstock_worker.logs import configure_logs

    configure_logs(json=json_logs)
    export_spans("penstock-worker")
    _settle_garbage_collector()
    variables = environment(os.environ, folder=Path.cwd())
    settings = Settings.load().with_metrics_port(metrics_port)
    if provider is None:
        from penstock_worker.pipelines.compute_process import run_compute

        uvloop.run(run_compute(settings, compute or (), slots=concurrency, drain_s=drain_s))
        return
    uvloop.run(run_worker(provider, settings, variables, concurrency=concurrency, drain_s=drain_s))


def _settle_garbage_collector() -> None:
    """Leave what was imported out of every collection, and collect less often: jobs hold no cycles.

    Measured to save a worker about a tenth of its CPU.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def steward(metrics_port: MetricsPort = None, json_logs: JsonLogs = False) -> None:
    """Keep the index true to the ledger until SIGTERM. One is needed; more do no harm."""
    import uvloop

    from penstock_client.settings import Settings
    from penstock_worker.compose import run_steward
    from penstock_worker.credentials import environment
    from penstock_worker.logs import configure_logs

    configure_logs(json=json_logs)
    variables = environment(os.environ, folder=Path.cwd())
    uvloop.run(run_steward(Settings.load().with_metrics_port(metrics_port), variables))


def smoke(
    provider: Annotated[str, typer.Option(help="The provider to call, as in the catalogue.")],
    model: Annotated[
        str | None, typer.Option(help="Its model to ask; default: the cheapest active one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Try a provider's key with one tiny call to its cheapest model; exits with 1 if that fails.

    The call is real and costs a fraction of a cent. It needs neither Redis nor Postgres.
    """
    import asyncio

    from penstock_client.settings import Settings
    from penstock_worker.smoke_command import print_result, run_smoke

    result = asyncio.run(run_smoke(provider, model, Settings.load()))
    print_result(result, as_json=as_json)
    raise typer.Exit(0 if result.ok else 1)


class TokensCounted(StrEnum):
    """What a simulated limit on tokens counts."""

    MAX = "max"
    INPUT = "input"
    SUM = "sum"


def simulator(  # noqa: PLR0917 - options of a command
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 9100,
    latency_ms: Annotated[float, typer.Option(min=0, help="Time to each answer.")] = 0,
    jitter_ms: Annotated[float, typer.Option(min=0, help="Spread of that time.")] = 0,
    seed: Annotated[int, typer.Option(help="Makes the spread repeatable.")] = 0,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens: Annotated[
        TokensCounted | None,
        typer.Option(
            help="What counts as tokens: the larger of max_tokens and input, the input, or the sum "
            "of input and output; default: as each provider does."
        ),
    ] = None,
    slice_s: Annotated[
        float, typer.Option(min=0.001, max=60, help="Seconds' worth of a limit to allow at once.")
    ] = 1.0,
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
            tokens=None if tokens is None else tokens.value,
            slice_s=slice_s,
            canned=canned,
            on_ready=ready,
        )
    )


def up(  # noqa: PLR0917 - options of a command
    providers: Annotated[
        str | None,
        typer.Option(help="Providers to work for, with commas between; default: all with a key."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes for each provider.")] = 1,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=5000, help="Calls in flight at most in each of them."),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="The gateway's port; a free one when it is in use."),
    ] = 8080,
    compute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", help="Also call COMPUTE functions of this module; repeatable."
        ),
    ] = None,
    simulate: Annotated[
        bool | None,
        typer.Option(
            "--simulate/--no-simulate",
            help="Answer from simulated providers; default: when no provider has a key.",
        ),
    ] = None,
) -> None:
    """Run everything on this machine until Ctrl-C: servers, steward, workers and gateway.

    Valkey and PostgreSQL are started in PENSTOCK_HOME unless PENSTOCK_REDIS_URL and
    PENSTOCK_DATABASE_URL name servers of yours.
    """
    from penstock_client.settings import Settings
    from penstock_worker.credentials import environment
    from penstock_worker.up.command import UpOptions, run_up

    options = UpOptions(
        providers=None if providers is None else [name.strip() for name in providers.split(",")],
        workers=workers,
        concurrency=concurrency,
        port=port,
        simulate=simulate,
        compute=tuple(compute or ()),
    )
    run_up(options, Settings.load(), environment(os.environ, folder=Path.cwd()))


def demo(
    messages: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Messages to classify; the 240 repeat beyond that."),
    ] = 240,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with its data and logs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """See Penstock work, in a folder of its own: classify, extract and reason, all simulated."""
    from penstock_client.settings import Settings
    from penstock_worker.demo.command import DemoOptions, run_demo

    raise typer.Exit(
        run_demo(DemoOptions(messages=messages, keep=keep, as_json=as_json), Settings.load())
    )
