"""What the SDKs ask the simulator about: texts, tools, schemas and an image, in neutral words."""

from __future__ import annotations

from typing import Any

PUMP = "The pump failed. It was replaced on Monday."
LONG = "The pump failed at nine. " + "The standby pump took over without a gap. " * 6
BOTH = "What is the weather in Paris, and what is the local time there?"
ORDER = "Order A-10423 from Jane Smith: 2 oak trays and linen napkins."
SYSTEM = "Classify the message with one of: billing, delivery, other."
DELIVERY = "The delivery of my parcel is late."

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
#: name -> description; all of them take a `city`.
TOOLS = {
    "get_weather": "Current weather of a city",
    "get_local_time": "Current local time of a city",
}
ORDER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order_number": {"type": "string"},
        "customer": {"type": "string"},
        "items": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["order_number", "customer", "items"],
    "additionalProperties": False,
}
ORDER_FOUND = {
    "order_number": "A-10423",
    "customer": "Jane Smith",
    "items": ["2 oak trays", "linen napkins"],
}
#: A PNG of one white pixel, in base64.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/58BAAMCAQDkZ0mHAAAAAElFTkSuQmCC"
)
