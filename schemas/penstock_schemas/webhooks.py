"""What webhooks are made of: the addresses that are taken, the states of a delivery, the event.

A job, a run or a backfill may name a webhook; each of its ends is an event that is sent there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from penstock_schemas.status import State

#: The longest address that is taken, in characters.
MOST_URL = 2048
#: What event IDs begin with, as they go out in the header `webhook-id`.
EVENT_PREFIX = "evt_"


def _as_webhook(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise PydanticCustomError("not_a_webhook", "is not a URL") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise PydanticCustomError("not_a_webhook", "must be an https:// URL with a host")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError("not_a_webhook", "must have no user name and no password")
    if parts.fragment or port == 0:
        raise PydanticCustomError("not_a_webhook", "must have no fragment, and a port above 0")
    return url


#: An absolute HTTP(S) URL. Whether `http://` and private addresses will do is for the settings to
#: say (`penstock_client.webhooks.addresses`), where it is submitted and again where it is sent.
WebhookUrl = Annotated[
    str,
    StringConstraints(max_length=MOST_URL, pattern=r"^https?://[!-\[\]-~]+$"),
    AfterValidator(_as_webhook),
]


class DeliveryState(State):
    """Where a delivery stands; stored as these numbers, which never change meaning."""

    WAITING = 1
    DELIVERED = 10
    #: Attempts are over, or the receiver said that it is gone.
    GIVEN_UP = 11


class WebhookEvent(BaseModel):
    """What a receiver has been sent, once its signature was found good.

    `id` is the same at each attempt: who has seen it before may ignore it. `data` names the subject
    (`job_id`, `run_id` or `backfill_id`), its `workspace` and `status`, and `sequence`, which
    counts the subject's events from 1: a number that is missing was given up. No answer is in it;
    fetch that by the ID.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    type: str
    timestamp: datetime
    data: Mapping[str, Any]
