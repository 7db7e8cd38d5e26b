"""The gateway's command, added to `penstock` through the entry-point group `penstock.commands`."""

from __future__ import annotations

from typing import Annotated

import typer

DRAIN_S = 30
#: Idle connections are kept so long, longer than proxies keep theirs.
KEEP_ALIVE_S = 75


def register(app: typer.Typer) -> None:
    """Adds `penstock gateway` to the command line."""
    app.command("gateway", epilog="Example: penstock gateway --host 0.0.0.0 --port 8080")(gateway)


def gateway(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="A line for each request; never its body.")
    ] = False,
) -> None:
    """Serve the console and the HTTP API until SIGTERM or Ctrl-C; open requests get 30 s to finish.

    It answers whoever bears a token: make the first with `penstock workspace token create --admin`.
    What there is to ask stands in /openapi.json. Without TLS of its own: put it behind a proxy that
    has it before other machines may reach it.
    """
    from penstock_client.tracing import export_spans
    from penstock_gateway.app import create_app
    from penstock_gateway.server import serve

    export_spans("penstock-gateway")
    started = serve(
        create_app(),
        host=host,
        port=port,
        access_log=access_log,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    if not started:
        raise typer.Exit(1)
