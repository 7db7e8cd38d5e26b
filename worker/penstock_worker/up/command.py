"""`penstock up`: the whole stack on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_client.catalogue import offline_catalog
from penstock_client.settings import Settings
from penstock_schemas.errors import Unavailable
from penstock_worker.embedded import Restart
from penstock_worker.up.interrupts import Interrupts, until_interrupted
from penstock_worker.up.plan import (
    Choice,
    Service,
    choose_providers,
    compute_services,
    gateway_service,
    server_variables,
    simulator_service,
    steward_service,
    webhook_variables,
    worker_services,
)
from penstock_worker.up.servers import (
    StackFailed,
    port_or_free,
    prepare,
    private_keys,
    servers,
    wants_own_servers,
)
from penstock_worker.up.services import running, wait_until_ready
from penstock_worker.up.terminal import Terminal, leave_telling_to_the_terminal

_READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """The options of `penstock up`. `providers` None means all that have a key.

    `compute` are the modules of COMPUTE functions that are called here.
    """

    providers: Sequence[str] | None
    workers: int
    concurrency: int | None
    port: int
    simulate: bool | None
    compute: Sequence[str] = ()


def run_up(options: UpOptions, settings: Settings, variables: Mapping[str, str]) -> None:
    """Run the stack until a signal; raises what stops it from starting."""
    models = offline_catalog(settings)
    choice = choose_providers(models, variables, named=options.providers, simulate=options.simulate)
    leave_telling_to_the_terminal()
    terminal = Terminal([provider.name for provider in choice.providers])

    async def work(interrupts: Interrupts) -> int:
        keys = private_keys(settings, variables, own=wants_own_servers(settings))
        await _run(options, settings, choice, keys=keys, terminal=terminal, interrupts=interrupts)
        return 0

    def on_first() -> None:
        terminal.say("stopping; calls under way get to finish, a second Ctrl-C ends them")

    asyncio.run(until_interrupted(work, on_first=on_first))


async def _run(
    options: UpOptions,
    settings: Settings,
    choice: Choice,
    *,
    keys: Mapping[str, str],
    terminal: Terminal,
    interrupts: Interrupts,
) -> None:
    own = wants_own_servers(settings)
    place = str(settings.home) if own else "your servers"
    terminal.say(f"starting Valkey and PostgreSQL in {place}" if own else "using your servers")
    async with servers(settings, on_restart=lambda restart: _tell(terminal, restart)) as found:
        try:
            applied = await prepare(found)
        except Unavailable as error:
            if own:
                raise
            hint = "unset both variables to have servers started here"
            raise StackFailed(f"{error}; {hint}") from None
        for name in applied:
            terminal.say(f"applied migration {name}")
        addresses = server_variables(
            redis_url=found.require_redis(), database_url=found.require_database()
        )
        shared = addresses | webhook_variables(settings)
        services = _services(options, choice, shared, keys=keys, terminal=terminal)
        async with running(
            services,
            hear=terminal.hear,
            note=terminal.note,
            # Without their servers workers could settle nothing: they need not linger.
            death_signal=signal.SIGKILL if own else signal.SIGTERM,
            forced=interrupts.forced,
        ) as started:
            late = await wait_until_ready(started, within_s=_READY_WITHIN_S)
            gateway = next(one for one in services if one.name == "gateway")
            terminal.ready(
                gateway_url=f"http://127.0.0.1:{gateway.port}",
                workers=[one.name for one in services if one.arguments[0] == "worker"],
                simulated=choice.simulated,
                data=place,
                variables=addresses,
                late=late,
                path=_commands_elsewhere(),
            )
            await asyncio.Event().wait()


def _services(
    options: UpOptions,
    choice: Choice,
    addresses: Mapping[str, str],
    *,
    keys: Mapping[str, str],
    terminal: Terminal,
) -> list[Service]:
    port = port_or_free(options.port)
    if options.port not in (0, port):
        terminal.say(f"port {options.port} is in use; the gateway takes {port} instead")
    simulator_port = port_or_free(0) if choice.simulated else None
    services = [steward_service({**addresses, **keys}), gateway_service(addresses, port=port)]
    if simulator_port is not None:
        services.append(simulator_service(port=simulator_port, latency_ms=0, jitter_ms=0))
    services += compute_services(options.compute, addresses)
    return services + worker_services(
        choice,
        {**addresses, **keys},
        workers=options.workers,
        concurrency=options.concurrency,
        simulator_port=simulator_port,
    )


def _commands_elsewhere() -> str | None:
    """The folder of this installation's commands, where a shell would not find them there."""
    folder, found = Path(sys.executable).parent, shutil.which("penstock")
    return None if found is not None and Path(found).parent == folder else str(folder)


def _tell(terminal: Terminal, restart: Restart) -> None:
    state = "answers again" if restart.error is None else restart.error
    terminal.hear(restart.server, f"ended by itself; {state} after {restart.downtime_s:.1f} s")
