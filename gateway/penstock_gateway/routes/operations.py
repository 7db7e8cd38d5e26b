"""What operators see: providers with their queues and gates, limits and pauses; read only."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from penstock_client.operations import ProviderOverview
from penstock_gateway.auth import Connected, needs
from penstock_gateway.problems import Refused
from penstock_gateway.views import GateView, LimitView, View
from penstock_schemas.errors import UnknownProvider

router = APIRouter(prefix="/api/v1/operations", tags=["operations"])


class Overview(View):
    """A provider as its index and the ledger show it now. `pauses` maps scopes to reasons."""

    provider: str
    index: str
    workers: int
    jobs: int
    running: int
    retrying: int
    gates: list[GateView]
    limits: list[LimitView]
    pauses: dict[str, str]


class Overviews(View):
    """Providers that have workers, jobs, limits, pauses, or something shut."""

    providers: list[Overview]


class PauseView(View):
    """What is paused, why, and since when; a provider `*` is every one."""

    provider: str
    scope: str
    reason: str
    since: datetime


class Pauses(View):
    """Everything that is paused, the oldest first."""

    pauses: list[PauseView]


class LimitSet(View):
    """A limit that an operator set; `window_s` 0 bounds calls under way."""

    provider: str
    scope: str
    unit: str
    window_s: int
    amount: int


class LimitsSet(View):
    """The limits that operators have set."""

    limits: list[LimitSet]


@router.get("/providers", summary="Providers at work", dependencies=[needs("admin")])
async def providers(penstock: Connected) -> Overviews:
    """Queues, breakers, credentials and limits by provider. Needs the scope `admin`."""
    found = await penstock.operations.providers()
    return Overviews(providers=[_shown(each) for each in found if each.tells])


@router.get("/providers/{name}", summary="One provider at work", dependencies=[needs("admin")])
async def provider(name: str, penstock: Connected) -> Overview:
    """Queue, breakers, credentials and limits of a provider. Needs the scope `admin`."""
    try:
        return _shown(await penstock.operations.provider(name))
    except UnknownProvider as error:
        raise Refused(404, str(error), kind="unknown-provider") from None


@router.get("/pauses", summary="What is paused", dependencies=[needs("admin")])
async def pauses(penstock: Connected) -> Pauses:
    """Everything that operators have paused. Needs the scope `admin`."""
    found = await penstock.ledger.steering.pauses()
    return Pauses(
        pauses=[
            PauseView(
                provider=pause.target.provider,
                scope=pause.target.scope,
                reason=pause.reason,
                since=pause.since,
            )
            for pause in found
        ]
    )


@router.get("/limits", summary="Limits that are set", dependencies=[needs("admin")])
async def limits(penstock: Connected) -> LimitsSet:
    """The limits that operators have set. Needs the scope `admin`."""
    found = await penstock.ledger.steering.limits()
    return LimitsSet(limits=[LimitSet.model_validate(limit) for limit in found])


def _shown(found: ProviderOverview) -> Overview:
    return Overview.model_validate(found)
