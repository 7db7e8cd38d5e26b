"""`penstock smoke`: try a provider's key with one tiny call, and say what came back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import typer

from penstock_client.catalogue import load_catalog, offline_catalog
from penstock_client.settings import Settings
from penstock_worker.credentials import access_to, environment
from penstock_worker.providers.http import AiohttpTransport, Sender
from penstock_worker.smoke import SmokeResult, smoke_test


async def run_smoke(provider_name: str, model_name: str | None, settings: Settings) -> SmokeResult:
    """The smoke test of the key that this environment has for a provider.

    Raises ConfigurationError and its kin for a provider, model or key that is not there.
    """
    models = await load_catalog(settings) if settings.database_url else offline_catalog(settings)
    provider = models.provider(provider_name)
    access = access_to(provider, environment(os.environ, folder=Path.cwd()))
    model = models.resolve(f"{provider_name}/{model_name}") if model_name else None
    async with Sender(AiohttpTransport(max_connections=1)) as sender:
        return await smoke_test(sender, models, provider=provider, access=access, model=model)


def print_result(result: SmokeResult, *, as_json: bool) -> None:
    """One line for people, or an object for programs."""
    if as_json:
        typer.echo(orjson.dumps(_as_object(result), option=orjson.OPT_INDENT_2))
        return
    usage, cost = result.usage, result.cost_usd
    asked = result.model or result.provider
    simulated = " (simulated)" if result.simulated else ""
    paid = f"{usage.input_tokens} tokens in, {usage.output_tokens} out"
    price = "price unknown" if cost is None else f"${cost:f}"
    if result.ok:
        typer.echo(f"ok: {asked} answered in {result.duration_ms} ms{simulated}: {paid}, {price}")
    else:
        kind = f"{result.kind.value}: " if result.kind else ""
        typer.echo(f"failed: {asked}{simulated}: {kind}{result.message}")


def _as_object(result: SmokeResult) -> dict[str, Any]:
    return {
        "ok": result.ok,
        "provider": result.provider,
        "model": result.model,
        "kind": result.kind and result.kind.value,
        "message": result.message,
        "duration_ms": result.duration_ms,
        "usage": result.usage.model_dump(),
        "cost_usd": None if result.cost_usd is None else str(result.cost_usd),
        "simulated": result.simulated,
    }
