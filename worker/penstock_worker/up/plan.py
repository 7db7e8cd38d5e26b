"""What a stack consists of, decided before anything is started: providers, services, variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE, Settings
from penstock_client.webhooks.addresses import PRIVATE_VARIABLE
from penstock_schemas.catalog import Catalog, Provider
from penstock_schemas.errors import ConfigurationError, MissingKey
from penstock_worker.credentials import base_url_variable
from penstock_worker.keyring import KEYS_VARIABLE
from penstock_worker.simulator.server import Simulator

#: Who is simulated when no provider has a key: where the default routing leads, and two more.
SIMULATED = ("openai", "anthropic", "fireworks", "deepseek", "mistral")
SIMULATED_KEY = "simulated"
SMOKE_VARIABLE = "PENSTOCK_SMOKE_TEST"
#: Seconds that calls under way get to finish when the stack stops.
DRAIN_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The providers that get workers, and whether the simulator stands in for them."""

    providers: tuple[Provider, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process of the stack: `penstock` with `arguments`.

    It is ready once `ready_event` stands in a line of its log, or once `port` takes connections.
    Services with `serves` have others that depend on them while they stop, so they stop last.
    """

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    ready_event: str | None = None
    port: int | None = None
    serves: bool = False


def choose_providers(
    models: Catalog,
    variables: Mapping[str, str],
    *,
    named: Sequence[str] | None,
    simulate: bool | None,
) -> Choice:
    """Who gets workers: the `named` ones, or all whose key is set.

    Without any key everything is simulated, unless `simulate` is False. Raises UnknownProvider,
    MissingKey for a named provider without its key, ConfigurationError when nobody is left.
    """
    wanted = None if named is None else tuple(dict.fromkeys(named))
    chosen = () if wanted is None else tuple(models.provider(name) for name in wanted)
    keyed = tuple(p for p in models.providers if p.needs_key and _has_key(p, variables))
    keyless = [p for p in chosen if p.needs_key and p not in keyed]
    if simulate is None:
        simulate = not keyed and len(keyless) == len(chosen)
    if simulate:
        return Choice(
            providers=chosen or tuple(models.provider(name) for name in SIMULATED), simulated=True
        )
    if keyless:
        raise MissingKey(keyless[0].name, keyless[0].key_variables)
    providers = chosen or tuple(p for p in keyed if _has_address(p, variables))
    if not providers:
        raise ConfigurationError(
            "no provider has a key: set one, for example OPENAI_API_KEY, in the environment or in "
            "`.env`, or leave out --no-simulate"
        )
    return Choice(providers=providers, simulated=False)


def server_variables(*, redis_url: str, database_url: str) -> dict[str, str]:
    """What every process of a stack, and every producer, needs to know."""
    return {REDIS_VARIABLE: redis_url, DATABASE_VARIABLE: database_url}


def webhook_variables(settings: Settings) -> dict[str, str]:
    """Webhooks of a stack on one machine may lead to it, unless the environment says otherwise."""
    said = "webhook_private" in settings.model_fields_set
    return {PRIVATE_VARIABLE: settings.webhook_private if said else "allow"}


def simulator_service(*, port: int, latency_ms: float, jitter_ms: float) -> Service:
    """The simulated providers, at a port that stays the same over restarts."""
    arguments = ("simulator", "--port", str(port))
    delays = ("--latency-ms", f"{latency_ms:g}", "--jitter-ms", f"{jitter_ms:g}")
    return Service(
        name="simulator", arguments=arguments + delays, variables={}, port=port, serves=True
    )


def steward_service(servers: Mapping[str, str]) -> Service:
    """The one that keeps the index true to the ledger, and sends webhooks.

    `servers` are its variables: where servers are, and what opens the secrets of webhooks.
    """
    return Service(
        name="steward",
        arguments=("steward", "--json-logs"),
        variables=dict(servers),
        ready_event="steward.started",
        serves=True,
    )


def gateway_service(servers: Mapping[str, str], *, port: int) -> Service:
    """HTTP on loopback."""
    return Service(
        name="gateway",
        arguments=("gateway", "--port", str(port)),
        variables=_without_private_keys(servers),
        port=port,
    )


def worker_services(
    choice: Choice,
    servers: Mapping[str, str],
    *,
    workers: int,
    concurrency: int | None,
    simulator_port: int | None,
) -> list[Service]:
    """`workers` processes for each provider, pointed at the simulator where it stands in.

    `servers` are their variables: where servers are, and what opens workspaces' keys.
    """
    services: list[Service] = []
    for provider in choice.providers:
        variables = dict(servers)
        if choice.simulated and simulator_port is not None:
            address = Simulator(port=simulator_port).base_url(provider.name)
            variables[base_url_variable(provider.name)] = address
            # A real key, were one set, must not reach the simulator.
            variables |= dict.fromkeys(provider.key_variables, SIMULATED_KEY)
            variables[SMOKE_VARIABLE] = "false"  # there is no key to test
        arguments = ("worker", "--provider", provider.name, "--json-logs")
        arguments += ("--drain-s", str(DRAIN_S))
        if concurrency is not None:
            arguments += ("--concurrency", str(concurrency))
        services += [
            Service(
                name=provider.name if workers == 1 else f"{provider.name}.{number}",
                arguments=arguments,
                variables=variables,
                ready_event="worker.started",
            )
            for number in range(1, workers + 1)
        ]
    return services


def compute_services(modules: Sequence[str], servers: Mapping[str, str]) -> list[Service]:
    """A process for each module of COMPUTE functions."""
    return [
        Service(
            name=module.rpartition(".")[2],
            arguments=("worker", "--compute", module, "--json-logs", "--drain-s", str(DRAIN_S)),
            variables=_without_private_keys(servers),
            ready_event="compute.started",
        )
        for module in modules
    ]


def _without_private_keys(variables: Mapping[str, str]) -> dict[str, str]:
    """For who must not have them, though the environment of the stack does."""
    return {**variables, KEYS_VARIABLE: ""}


def _has_key(provider: Provider, variables: Mapping[str, str]) -> bool:
    return any(variables.get(name) for name in provider.key_variables)


def _has_address(provider: Provider, variables: Mapping[str, str]) -> bool:
    return not provider.needs_base_url or bool(variables.get(base_url_variable(provider.name)))
