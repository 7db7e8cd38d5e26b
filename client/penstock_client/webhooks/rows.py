"""What is known of secrets and deliveries, as frozen values; and how their IDs are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from penstock_schemas.errors import InvalidJob
from penstock_schemas.webhooks import EVENT_PREFIX, DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInfo:
    """What is known of a signing secret; it cannot be read back.

    `expires_at` is set once another took its place: until then deliveries are signed with both.
    `problem` is why no steward can use it, None where one can or has not tried.
    """

    secret_id: str
    created_at: datetime
    expires_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made; `secret` is shown this once."""

    info: SecretInfo
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to a webhook, or there.

    `subject` is the ID of the job, run or backfill, and `sequence` counts its events from 1.
    `attempts` were made; the last one had `last_status` and `last_error`. Another follows at
    `next_at`, None where there is none or an earlier event of the subject goes first; `waits_for`
    says what else has to happen before. `payload` is the JSON that is sent, None until it is
    first.
    """

    event_id: str
    workspace: str
    subject: str
    sequence: int
    type: str
    url: str
    state: DeliveryState
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


def event_id_of(key: UUID) -> str:
    """An event's ID as it goes out and is shown."""
    return EVENT_PREFIX + key.hex


def parse_event_id(text: str) -> UUID:
    """The key of an event; raises InvalidJob for what is no event ID."""
    try:
        return UUID(text.removeprefix(EVENT_PREFIX))
    except ValueError:
        told = f"{text[:60]!r} is not an event ID: expected {EVENT_PREFIX}… as `list` shows it"
        raise InvalidJob(told, field="event_id") from None


def secret_info(row: Any) -> SecretInfo:
    """A secret, from its row."""
    return SecretInfo(
        secret_id=row["id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        problem=row["problem"],
    )


def delivery(row: Any) -> Delivery:
    """A delivery, from its row."""
    fields: dict[str, Any] = dict(row.items())
    state = DeliveryState(fields.pop("state"))
    known, problem = fields.pop("known"), fields.pop("problem")
    body: bytes | None = fields.pop("body")
    waits_for = None
    if state is DeliveryState.WAITING:
        waits_for = _waits_for(fields, known=bool(known), problem=problem)
    return Delivery(
        event_id=event_id_of(fields.pop("id")),
        subject=str(fields.pop("subject")),
        state=state,
        waits_for=waits_for,
        payload=None if body is None else body.decode(),
        **fields,
    )


def _waits_for(fields: dict[str, Any], *, known: bool, problem: str | None) -> str | None:
    if fields["next_at"] is None:
        return "an earlier event of the same subject"
    if not known:
        return f"a signing secret: `penstock webhooks secret {fields['workspace']}`"
    return problem
