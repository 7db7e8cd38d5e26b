"""What `penstock demo` works on: support messages to classify, order e-mails to extract from.

All of it was written for this project; the shop and its customers do not exist. Each call reads
the packaged file anew, since a demo needs it once.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Literal, TypedDict, cast

import orjson

LABELS = (
    "damaged_item",
    "late_delivery",
    "refund_request",
    "wrong_item",
    "cancel_subscription",
    "payment_failed",
    "password_reset",
    "invoice_request",
    "product_question",
    "praise",
)
"""The labels of the support messages, each the right one for 24 of the 240."""


class SupportMessage(TypedDict):
    """One message to the shop, with the label that a careful reader would give it."""

    id: str
    text: str
    label: str


class OrderFields(TypedDict):
    """What an order e-mail says. `total_amount` is in units of `currency`."""

    customer_name: str
    order_number: str
    total_amount: float
    currency: Literal["EUR", "USD", "GBP"]
    items: list[str]
    express: bool


class OrderEmail(TypedDict):
    """One order e-mail, with the fields that stand in its text."""

    id: str
    text: str
    expected: OrderFields


def messages() -> list[SupportMessage]:
    """The 240 support messages, in the order of their IDs, labels mixed."""
    return cast("list[SupportMessage]", _rows("support_messages.jsonl"))


def orders() -> list[OrderEmail]:
    """The 24 order e-mails, in the order of their IDs."""
    return cast("list[OrderEmail]", _rows("orders.jsonl"))


def _rows(name: str) -> list[object]:
    text = files(__name__).joinpath(name).read_bytes()
    return [orjson.loads(line) for line in text.splitlines()]
