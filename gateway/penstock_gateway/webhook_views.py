"""What the API takes and shows of webhooks; a secret only where it was just made."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from penstock_client.webhooks.rows import Delivery
from penstock_client.webhooks.service import KEEP_PREVIOUS_H
from penstock_gateway.config_bodies import Body
from penstock_gateway.views import View
from penstock_schemas.webhooks import WebhookUrl

DeliveryLabel = Literal["waiting", "delivered", "given_up"]


class WebhookSecretBody(Body):
    """A signing secret to make. With `rotate` in place of the one there is, with which deliveries
    are signed too for `keep_previous_h` hours more.
    """

    rotate: bool = False
    keep_previous_h: float = Field(default=KEEP_PREVIOUS_H, ge=0, le=720)


class WebhookTestBody(Body):
    """Where to send a test event."""

    url: WebhookUrl


class SecretView(View):
    """What is known of a signing secret. `expires_at` null: until another takes its place."""

    secret_id: str
    created_at: datetime
    expires_at: datetime | None
    problem: str | None = Field(description="Why no steward can sign with it.")


class SecretList(View):
    """The signing secrets in force, the newest first."""

    secrets: list[SecretView]


class NewSecretView(SecretView):
    """A signing secret that was just made; `secret` is never shown again."""

    secret: str


class DeliveryView(View):
    """An event on its way to a webhook, or there.

    `subject` is the ID of the job, run or backfill, `sequence` counts its events from 1. `payload`
    is the JSON that is sent, null before the first attempt.
    """

    event_id: str
    workspace: str
    subject: str
    sequence: int
    type: str
    url: str
    state: DeliveryLabel
    attempts: int
    sending: bool
    occurred_at: datetime
    next_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_attempt_at: datetime | None
    finished_at: datetime | None
    waits_for: str | None
    payload: str | None


class DeliveryPage(View):
    """Some deliveries, and what to give as `before` for those after them; null: no more."""

    deliveries: list[DeliveryView]
    next: str | None


def delivery_view(found: Delivery) -> DeliveryView:
    """A delivery as it is shown."""
    plain: dict[str, Any] = {name: getattr(found, name) for name in DeliveryView.model_fields}
    plain["state"] = found.state.label
    return DeliveryView(**plain)
