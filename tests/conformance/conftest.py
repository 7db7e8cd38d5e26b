"""A simulator and a sender, and how a job goes through an adapter over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from penstock_worker.providers.http import Sender, Timeout
from penstock_worker.providers.protocol import Answer, AnyJob, Delta
from penstock_worker.providers.registry import adapter_for
from penstock_worker.simulator.server import Simulator
from tests.conformance.wires import ROWS, WireRow
from tests.providers.wire_calls import call_for, generate

PATIENT = Timeout(connect_s=5, read_s=5, total_s=10)


class Line:
    """One wire to the simulator, streamed or not."""

    def __init__(self, row: WireRow, sim: Simulator, sender: Sender, *, stream: bool) -> None:
        self.row = row
        self.sim = sim
        self.stream = stream
        self.sender = sender
        self.sent: Any = None
        self.warnings: tuple[str, ...] = ()
        self.deltas: list[Delta] = []

    async def ask(self, *, timeout: Timeout = PATIENT, ref: str = "", **fields: Any) -> Answer:
        """The answer to a `Generate` of these fields. Raises what an attempt would."""
        return await self.run(generate(**fields), timeout=timeout, ref=ref)

    async def run(self, job: AnyJob, *, timeout: Timeout = PATIENT, ref: str = "") -> Answer:
        """The answer to a job. Raises what an attempt would."""
        name = (ref or self.row.model).partition("/")[0]
        where = self.sim.base_url(name)
        call = call_for(job, ref or self.row.model, base_url=where, stream=self.stream)
        adapter = adapter_for(call.provider, call.model)
        built = adapter.build(call)
        self.sent, self.warnings = orjson.loads(built.request.content), built.warnings
        if not self.stream:
            response = await self.sender.send(built.request, timeout=timeout)
            if response.is_success:
                return adapter.parse(call, response)
            raise adapter.classify(call, response)
        self.deltas = []
        async with self.sender.stream(built.request, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                raise adapter.classify(call, response)
            decoder = adapter.decoder(call)
            async for piece in response.aiter_bytes():
                self.deltas += decoder.feed(piece)
            return decoder.finish()

    def script(self, name: str) -> None:
        """Let the next answer be a scripted one of this wire."""
        self.sim.faults.add(self.row.scripts[name].as_fault(stream=self.stream))


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> WireRow:
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
async def line(request: pytest.FixtureRequest, row: WireRow) -> AsyncIterator[Line]:
    async with Simulator() as sim, Sender() as sender:
        yield Line(row, sim, sender, stream=request.param)


@pytest.fixture
async def both(row: WireRow) -> AsyncIterator[tuple[Line, Line]]:
    async with Simulator() as sim, Sender() as sender:
        yield Line(row, sim, sender, stream=False), Line(row, sim, sender, stream=True)
