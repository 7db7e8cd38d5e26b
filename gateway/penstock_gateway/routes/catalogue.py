"""What there is to call: providers, whether they are configured, models with prices, estimates."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from penstock_client import Penstock
from penstock_gateway.auth import ConfigReader, Connected, needs
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.config_bodies import EstimateBody
from penstock_gateway.naming import WorkspaceQuery
from penstock_gateway.problems import Refused
from penstock_gateway.views import View
from penstock_schemas.catalog import Model, Provider
from penstock_schemas.errors import UnknownProvider, UnknownWorkspace
from penstock_schemas.pricing import cost_usd
from penstock_schemas.usage import Usage

router = APIRouter(prefix="/api/v1/llm", tags=["catalogue"])

_ROUNDED = Decimal("0.000000000001")


class ProviderView(View):
    """A provider of the catalogue; `id` is its name."""

    id: str
    name: str
    display_name: str
    base_url: str
    auth_type: str
    supported_features: list[str]
    is_active: bool
    is_openai_compatible: bool
    is_local: bool
    supports_embeddings: bool


class Providers(View):
    """The providers of the catalogue in force."""

    providers: list[ProviderView]


class ProviderStatus(View):
    """Whether calls can go to a provider: `configured` by `own_key` of the workspace, or by the
    platform, which has a worker on duty there (`platform`, null while that is not known).
    """

    id: str
    name: str
    display_name: str
    configured: bool
    is_openai_compatible: bool
    own_key: bool
    platform: bool | None


class Statuses(View):
    """Every provider of the catalogue."""

    providers: list[ProviderStatus]


class ModelView(View):
    """A model. Prices are US dollars for a million or for a thousand tokens; null is unknown."""

    id: str
    provider: str
    model_id: str
    display_name: str
    kind: str
    context_window: int | None
    max_output_tokens: int | None
    dimensions: int | None
    capabilities: list[str]
    speed_tier: str
    quality_tier: str
    size_category: str
    is_active: bool
    input_cost_per_million: Decimal | None
    output_cost_per_million: Decimal | None
    cached_input_cost_per_million: Decimal | None
    input_cost_per_1k: Decimal | None
    output_cost_per_1k: Decimal | None


class Models(View):
    """Models of the catalogue in force."""

    models: list[ModelView]


class Estimate(View):
    """What calls of a model cost by the catalogue's prices; null where one is not known."""

    model: str
    provider: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    cost_usd_per_call: Decimal | None


@router.get("/providers", summary="List providers", dependencies=[needs("config:read")])
async def list_providers(penstock: Connected) -> Providers:
    """The providers of the catalogue in force. Needs the scope `config:read`."""
    return Providers(providers=[_provider(row) for row in penstock.catalog.providers])


@router.get("/providers/status", summary="Which providers are configured")
async def provider_status(
    identity: ConfigReader, penstock: Connected, workspace: WorkspaceQuery = None
) -> Statuses:
    """For the token's workspace, or the one named; without one what the platform has.

    Needs the scope `config:read`.
    """
    name = workspace or identity.workspace
    if name is not None and not identity.sees(name):
        raise UnknownWorkspace(name)
    own = set[str]()
    if name is not None:
        own = {k.provider for k in await penstock.keys.list(name) if k.works is not False}
    alive = await penstock.alive_providers()
    return Statuses(
        providers=[_status(row, own=own, alive=alive) for row in penstock.catalog.providers]
    )


@router.get("/models", summary="List models with their prices", dependencies=[needs("config:read")])
async def list_models(
    penstock: Connected,
    provider_name: Annotated[
        str | None, Query(max_length=63, description="Those of this provider only.")
    ] = None,
) -> Models:
    """The models of the catalogue in force. Needs the scope `config:read`."""
    known = penstock.catalog
    rows = known.models
    if provider_name is not None:
        try:
            rows = known.models_of(known.provider(provider_name).name)
        except UnknownProvider as error:
            raise Refused(404, str(error), kind="unknown-provider") from None
    today = datetime.now(UTC).date()
    return Models(models=[_model(row, today) for row in rows])


@router.post(
    "/estimate",
    summary="Estimate what calls cost",
    openapi_extra=takes(
        EstimateBody, {"model": "openai/gpt-4o", "input_tokens": 1000, "output_tokens": 500}
    ),
    dependencies=[needs("config:read")],
)
async def estimate(
    body: Annotated[EstimateBody, Depends(body_of(EstimateBody))],
    penstock: Connected,
) -> Estimate:
    """By today's prices, nothing is called. Needs the scope `config:read`."""
    return _estimate(penstock, body)


def _estimate(penstock: Penstock, body: EstimateBody) -> Estimate:
    if body.cached_input_tokens > body.input_tokens:
        raise Refused(422, "cached_input_tokens: are part of input_tokens", kind="invalid")
    model = penstock.catalog.resolve(body.model)
    usage = Usage(
        input_tokens=body.input_tokens,
        output_tokens=body.output_tokens,
        cache_read_tokens=body.cached_input_tokens,
    )
    each = cost_usd(model, usage)
    return Estimate(
        model=model.ref,
        provider=model.provider,
        calls=body.calls,
        input_tokens=body.input_tokens,
        output_tokens=body.output_tokens,
        cost_usd=None if each is None else _plain(each * body.calls),
        cost_usd_per_call=None if each is None else _plain(each),
    )


def _plain(amount: Decimal) -> Decimal:
    """Without digits that nobody pays for, and without an exponent."""
    return Decimal(f"{amount.quantize(_ROUNDED).normalize():f}")


def _provider(row: Provider) -> ProviderView:
    return ProviderView(
        id=row.name,
        name=row.name,
        display_name=row.display_name,
        base_url=row.base_url,
        auth_type=row.auth_type,
        supported_features=sorted(row.features),
        is_active=row.is_active,
        is_openai_compatible=row.is_openai_compatible,
        is_local=row.local,
        supports_embeddings=row.embeddings,
    )


def _status(row: Provider, *, own: set[str], alive: frozenset[str] | None) -> ProviderStatus:
    platform = None if alive is None else row.name in alive
    return ProviderStatus(
        id=row.name,
        name=row.name,
        display_name=row.display_name,
        configured=row.name in own or bool(platform),
        is_openai_compatible=row.is_openai_compatible,
        own_key=row.name in own,
        platform=platform,
    )


def _model(row: Model, today: date) -> ModelView:
    given, taken = row.input_usd_per_mtok, row.output_usd_per_mtok
    return ModelView(
        id=row.ref,
        provider=row.provider,
        model_id=row.name,
        display_name=row.display_name,
        kind=row.kind,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        dimensions=row.dimensions,
        capabilities=sorted(row.capabilities),
        speed_tier=row.speed_tier,
        quality_tier=row.quality_tier,
        size_category=row.size_category,
        is_active=row.is_active(today),
        input_cost_per_million=given,
        output_cost_per_million=taken,
        cached_input_cost_per_million=row.cached_input_usd_per_mtok,
        input_cost_per_1k=None if given is None else given / 1000,
        output_cost_per_1k=None if taken is None else taken / 1000,
    )
