"""A receiver on this machine, and a job that tells it of its end; runs against `penstock up`.

The receiver is a few lines of the standard library: what matters is `verify`.
"""

import asyncio
import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from penstock_client import Classify, Penstock
from penstock_client.webhooks import WebhookEvent, WebhookRefused, verify


def receiver(secret: str, on_event: Callable[[WebhookEvent], None]) -> ThreadingHTTPServer:
    """A server on loopback that takes what is signed with this secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                event = verify(self.headers, body, secret)
            except WebhookRefused as error:
                self.send_error(400, str(error))
                return
            self.send_response(204)
            self.end_headers()
            on_event(event)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


async def main() -> None:
    """Settings come from PENSTOCK_REDIS_URL and PENSTOCK_DATABASE_URL."""
    os.environ.setdefault("PENSTOCK_WEBHOOK_PRIVATE", "allow")  # it is on this machine
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def on_event(event: WebhookEvent) -> None:
        print(f"{event.type} of {event.data['job_id']}, its event {event.data['sequence']}")
        loop.call_soon_threadsafe(told.set)

    async with Penstock.connect() as penstock:
        made = await penstock.webhooks.make_secret("demo", rotate=True)
        server = receiver(made.secret, on_event)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/penstock"
        labels = ("delivery", "refund", "praise")
        job = Classify(workspace="demo", text="Where is my parcel?", labels=labels, webhook=url)
        handle = await penstock.submit(job)
        await asyncio.wait_for(told.wait(), timeout=60)
        result = await handle.result()  # a webhook has no answer in it
        print(result.output)
        server.shutdown()


asyncio.run(main())
