"""Settings, providers: a card for each, where a workspace's own key is set, tried and taken out.

A key comes in the body of one POST and goes to the service that seals it. No answer holds it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from penstock_client import Penstock
from penstock_client.job_reads import read_job
from penstock_client.job_search import JobSearch, search_jobs
from penstock_client.key_trial import CAPABILITY, SKILL, STEP
from penstock_client.tokens import Identity
from penstock_gateway.auth import Connected
from penstock_gateway.console.pages import ConsoleRoute
from penstock_gateway.console.provider_cards import (
    CardShown,
    Outcome,
    TestCall,
    call_shown,
    card,
    cards,
)
from penstock_gateway.console.session import Visitor, form_of, may
from penstock_gateway.console.settings_page import (
    back,
    changed,
    is_quick,
    looked_at,
    section,
    tab,
)
from penstock_gateway.problems import Refused
from penstock_schemas.errors import (
    ConfigurationError,
    KeyRefused,
    KeyUntested,
    UnknownJob,
    UnknownProvider,
)
from penstock_schemas.ids import JobId

router = APIRouter(prefix="/settings", route_class=ConsoleRoute, include_in_schema=False)

#: A test that is under way began no longer ago.
_RECENT: Final = timedelta(minutes=1)


@router.get("")
async def show(request: Request, visitor: Visitor, penstock: Connected) -> Response:
    """All providers."""
    workspace = await looked_at(request, visitor, penstock)
    config = await penstock.workspaces.read(workspace)
    shown = cards(
        config,
        await penstock.keys.list(workspace),
        penstock.catalog,
        alive=await penstock.alive_providers(),
        today=datetime.now(UTC).date(),
    )
    return await tab(
        request,
        visitor,
        penstock,
        "settings.html",
        workspace=workspace,
        cards=shown,
        may_set_keys=visitor.may("keys:write"),
        outcome=None,
    )


@router.post("/providers/{name}/key")
async def set_key(request: Request, name: str, visitor: Visitor, penstock: Connected) -> Response:
    """Seal a key, try it, and store it if it works."""
    may(visitor, "keys:write")
    workspace, provider = await changed(request, visitor, penstock), _provider(penstock, name)
    form, began = await form_of(request), datetime.now(UTC)
    key = form.pop("api_key", [""])[-1]
    try:
        info = await penstock.keys.set(workspace, provider, key, anyway="anyway" in form)
    except (KeyRefused, KeyUntested) as error:
        outcome = Outcome(
            kind="fault" if isinstance(error, KeyRefused) else "held",
            title="The key was refused and not stored."
            if isinstance(error, KeyRefused)
            else "The key could not be tested and was not stored.",
            detail=error.message,
            call=await _call(penstock, workspace, provider, since=began),
        )
    except ConfigurationError as error:
        outcome = Outcome(kind="fault", title="No key was stored.", detail=str(error))
    else:
        works = info.works is True
        outcome = Outcome(
            kind="good" if works else "held",
            title="The key works and is stored." if works else "The key is stored, untested.",
            detail="" if works else info.problem or "",
            call=await _call(penstock, workspace, provider, since=began),
        )
    finally:
        del key
    return await _card(request, visitor, penstock, of=(workspace, provider), outcome=outcome)


@router.post("/providers/{name}/test")
async def try_key(request: Request, name: str, visitor: Visitor, penstock: Connected) -> Response:
    """Try the stored key again."""
    may(visitor, "keys:write")
    workspace, provider = await changed(request, visitor, penstock), _provider(penstock, name)
    began = datetime.now(UTC)
    try:
        info = await penstock.keys.test(workspace, provider)
    except KeyUntested as error:
        kind, title, detail = "held", "Nothing was found out.", error.message
    else:
        kind = "good" if info.works else "fault"
        title = "The key works." if info.works else "The key was refused."
        detail = info.problem or ""
    call = await _call(penstock, workspace, provider, since=began)
    outcome = Outcome(kind=kind, title=title, detail=detail, call=call)
    return await _card(request, visitor, penstock, of=(workspace, provider), outcome=outcome)


@router.post("/providers/{name}/remove")
async def remove_key(
    request: Request, name: str, visitor: Visitor, penstock: Connected
) -> Response:
    """Forget a key: the platform's is used from now on."""
    may(visitor, "keys:write")
    workspace, provider = await changed(request, visitor, penstock), _provider(penstock, name)
    await penstock.keys.remove(workspace, provider)
    outcome = Outcome(kind="good", title="The key was removed.", detail="Calls under way keep it.")
    return await _card(request, visitor, penstock, of=(workspace, provider), outcome=outcome)


@router.post("/providers/{name}/enabled")
async def switch(request: Request, name: str, visitor: Visitor, penstock: Connected) -> Response:
    """Let a workspace's jobs go to a provider, or not."""
    may(visitor, "config:write")
    workspace, provider = await changed(request, visitor, penstock), _provider(penstock, name)
    on = (await form_of(request)).get("enabled", [""])[-1] == "on"
    await penstock.workspaces.set(workspace, providers={provider: on})
    told = "Jobs may go there." if on else "New jobs take another route, or are refused."
    outcome = Outcome(kind="good", title="Switched on." if on else "Switched off.", detail=told)
    return await _card(request, visitor, penstock, of=(workspace, provider), outcome=outcome)


@router.get("/providers/{name}/progress")
async def progress(request: Request, name: str, visitor: Visitor, penstock: Connected) -> Response:
    """Where the test stands that is under way, in a sentence."""
    may(visitor, "keys:write")
    workspace, provider = await changed(request, visitor, penstock), _provider(penstock, name)
    job_id = await _test_job(penstock, workspace, provider, since=datetime.now(UTC) - _RECENT)
    told = "sealing the key"
    if job_id is not None:
        found = await penstock.explain(job_id)
        told = f"test call {found.state.label}: {found.why}"
    return Response(told, media_type="text/plain", headers={"cache-control": "no-store"})


def _provider(penstock: Penstock, name: str) -> str:
    try:
        return penstock.catalog.provider(name).name
    except UnknownProvider:
        raise Refused(404, "the catalogue has no provider of this name") from None


async def _card(
    request: Request,
    visitor: Identity,
    penstock: Penstock,
    *,
    of: tuple[str, str],
    outcome: Outcome,
) -> Response:
    """One card as it stands now, with what was done; the page where htmx does not ask.

    It is `of` a workspace and a provider.
    """
    workspace, provider = of
    if not is_quick(request) and outcome.kind == "good":
        return back("/settings", workspace)
    shown = await _read_card(penstock, workspace, provider)
    given = {
        "workspace": workspace,
        "outcome": outcome,
        "may_set_keys": visitor.may("keys:write"),
        "may_change": visitor.may("config:write"),
    }
    if is_quick(request):
        return section("_settings_card.html", card=shown, **given)
    del given["may_change"]
    del given["workspace"]
    return await tab(
        request, visitor, penstock, "settings.html", workspace=workspace, cards=(shown,), **given
    )


async def _read_card(penstock: Penstock, workspace: str, provider: str) -> CardShown:
    config = await penstock.workspaces.read(workspace)
    keys = {info.provider: info for info in await penstock.keys.list(workspace)}
    return card(
        penstock.catalog.provider(provider),
        keys.get(provider),
        config,
        penstock.catalog,
        alive=await penstock.alive_providers(),
        today=datetime.now(UTC).date(),
    )


async def _test_job(
    penstock: Penstock, workspace: str, provider: str, *, since: datetime
) -> JobId | None:
    """The newest test of a key that began since then."""
    search = JobSearch(
        workspace=workspace,
        capability=CAPABILITY,
        skill=SKILL,
        step=STEP,
        provider=provider,
        since=since,
        limit=1,
    )
    found = await search_jobs(penstock.ledger, search)
    return found.jobs[0].job_id if found.jobs else None


async def _call(
    penstock: Penstock, workspace: str, provider: str, *, since: datetime
) -> TestCall | None:
    """What a test that began since then was answered; None where it did not come to that."""
    job_id = await _test_job(penstock, workspace, provider, since=since)
    if job_id is None:
        return None
    try:
        found = await read_job(penstock.ledger, job_id)
    except UnknownJob:
        return None
    return None if found.body is None else call_shown(found.job.job_id, found.body)
