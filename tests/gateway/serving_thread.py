"""A gateway on a port of this machine, in a thread of the test process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from penstock_client import Settings
from penstock_gateway.app import create_app
from penstock_gateway.server import Server


@contextmanager
def listening(settings: Settings, *, port: int = 0) -> Iterator[str]:
    """The address of a gateway that serves for the time of the block."""
    app = create_app(settings)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
    server = Server(config, app.state.serving)
    thread = threading.Thread(target=server.run, name="gateway", daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until, "the gateway does not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
