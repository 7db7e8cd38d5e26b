"""The server of the gateway's process: stops without keeping those who only wait."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI

from penstock_gateway.serving import Serving


class Server(uvicorn.Server):
    """Serves an application of `create_app`; ends its long polls before it waits for the rest."""

    def __init__(self, config: uvicorn.Config, serving: Serving) -> None:
        super().__init__(config)
        self._serving = serving

    async def shutdown(self, *args: Any, **more: Any) -> None:
        """Stop listening, and let open requests finish."""
        self._serving.waits.stop()
        await super().shutdown(*args, **more)


def serve(app: FastAPI, **options: Any) -> bool:
    """Serve until SIGTERM or Ctrl-C, with uvicorn's `options`; False when it could not start."""
    server = Server(uvicorn.Config(app, **options), app.state.serving)
    with suppress(KeyboardInterrupt):
        server.run()
    return server.started
