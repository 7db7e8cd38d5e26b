"""Webhooks: signing secrets, deliveries, and sending one again or a first one to try."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from penstock_client import Penstock
from penstock_client.tokens import Identity
from penstock_client.webhooks.rows import Delivery
from penstock_gateway.auth import (
    ConfigReader,
    ConfigWriter,
    Connected,
    JobsReader,
    JobsWriter,
    workspace_of,
)
from penstock_gateway.bodies import body_of, takes
from penstock_gateway.naming import WorkspaceQuery
from penstock_gateway.problems import Refused
from penstock_gateway.webhook_views import (
    DeliveryLabel,
    DeliveryPage,
    DeliveryView,
    NewSecretView,
    SecretList,
    SecretView,
    WebhookSecretBody,
    WebhookTestBody,
    delivery_view,
)
from penstock_schemas.errors import InvalidJob, UnknownDelivery
from penstock_schemas.webhooks import DeliveryState

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


async def _owned(event_id: str, identity: Identity, penstock: Penstock) -> Delivery:
    try:
        found = await penstock.webhooks.get(event_id)
    except InvalidJob as error:
        raise Refused(404, str(error), kind="unknown-delivery") from None
    if not identity.sees(found.workspace):
        raise UnknownDelivery(event_id)
    return found


async def _readable(event_id: str, identity: JobsReader, penstock: Connected) -> Delivery:
    return await _owned(event_id, identity, penstock)


async def _writable(event_id: str, identity: JobsWriter, penstock: Connected) -> Delivery:
    return await _owned(event_id, identity, penstock)


@router.post(
    "/secrets",
    status_code=201,
    summary="Make a signing secret",
    openapi_extra=takes(WebhookSecretBody, {"rotate": True}),
)
async def make_secret(
    identity: ConfigWriter,
    body: Annotated[WebhookSecretBody, Depends(body_of(WebhookSecretBody))],
    penstock: Connected,
    workspace: WorkspaceQuery = None,
) -> NewSecretView:
    """Make what a workspace's webhooks are signed with, and show it this once.

    Where there is one already, `rotate` makes another and both are signed with for a while. Needs
    the scope `config:write`.
    """
    of = workspace_of(identity, workspace)
    made = await penstock.webhooks.make_secret(
        of, rotate=body.rotate, keep_previous_h=body.keep_previous_h
    )
    info = SecretView.model_validate(made.info)
    return NewSecretView(**info.model_dump(), secret=made.secret)


@router.get("/secrets", summary="List signing secrets")
async def list_secrets(
    identity: ConfigReader, penstock: Connected, workspace: WorkspaceQuery = None
) -> SecretList:
    """The secrets in force, without what they are. Needs the scope `config:read`."""
    found = await penstock.webhooks.secrets(workspace_of(identity, workspace))
    return SecretList(secrets=[SecretView.model_validate(info) for info in found])


@router.get("/deliveries", summary="List deliveries, newest first")
async def list_deliveries(  # noqa: PLR0917 - parameters of a request
    identity: JobsReader,
    penstock: Connected,
    workspace: WorkspaceQuery = None,
    state: DeliveryLabel | None = None,
    subject: Annotated[
        str | None, Query(max_length=64, description="Of this job, run or backfill.")
    ] = None,
    before: Annotated[
        str | None, Query(max_length=64, description="Older than this event: the next page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> DeliveryPage:
    """A workspace's deliveries of the last 30 days. Needs the scope `jobs:read`."""
    of = workspace_of(identity, workspace)
    wanted = None if state is None else DeliveryState.parse(state)
    found = await penstock.webhooks.list(
        of, state=wanted, subject=subject, before=before, limit=limit
    )
    after = found[-1].event_id if len(found) == limit else None
    return DeliveryPage(deliveries=[delivery_view(one) for one in found], next=after)


@router.get("/deliveries/{event_id}", summary="Get a delivery")
async def get_delivery(found: Annotated[Delivery, Depends(_readable)]) -> DeliveryView:
    """One delivery, with what is sent. Needs the scope `jobs:read`."""
    return delivery_view(found)


@router.post("/deliveries/{event_id}/retry", summary="Send a delivery again")
async def retry_delivery(
    found: Annotated[Delivery, Depends(_writable)], penstock: Connected
) -> DeliveryView:
    """Send it now: one that waits, was given up, or was delivered. Needs the scope `jobs:write`."""
    return delivery_view(await penstock.webhooks.retry(found.event_id))


@router.post(
    "/test",
    status_code=202,
    summary="Send a test event",
    openapi_extra=takes(WebhookTestBody, {"url": "https://example.com/penstock"}),
)
async def try_address(
    identity: ConfigWriter,
    body: Annotated[WebhookTestBody, Depends(body_of(WebhookTestBody))],
    penstock: Connected,
    workspace: WorkspaceQuery = None,
) -> DeliveryView:
    """Send an event `webhook.test`; ask for its delivery to see how that went.

    Needs the scope `config:write`.
    """
    of = workspace_of(identity, workspace)
    return delivery_view(await penstock.webhooks.test(of, body.url))
