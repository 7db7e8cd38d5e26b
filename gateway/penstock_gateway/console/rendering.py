"""Pages and fragments of pages as HTML, and how the console writes figures.

Everything is escaped. Nothing of a page is inline script or style, which its policy forbids.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from penstock_client.tokens import Identity

STATIC: Final = Path(__file__).parent / "static"
#: What a page may load and do: nothing but what comes from here.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {"content-security-policy": POLICY, "referrer-policy": "same-origin"}
#: What has no value, or one that is not known.
NONE: Final = "–"
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def page(
    request: Request,
    template: str,
    visitor: Identity | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **shown: Any,
) -> HTMLResponse:
    """A whole page; `shown` is what its template names."""
    body = fragment(template, path=request.url.path, visitor=visitor, **shown)
    return HTMLResponse(body, status_code=status, headers={**_HEADERS, **(headers or {})})


def part(template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
    """A fragment of a page, as an answer to htmx."""
    return HTMLResponse(fragment(template, **shown), status_code=status, headers=_HEADERS)


def fragment(template: str, **shown: Any) -> str:
    """A template as text."""
    return _environment().get_template(template).render(**shown)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("penstock_gateway.console"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "count": count,
        "duration": duration,
        "ms": milliseconds,
        "percent": percent,
        "short": short,
        "time": time_element,
        "usd": usd,
    }
    environment.globals.update(asset=asset)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return environment


@cache
def asset(name: str) -> str:
    """The address of a file of `static/`, which changes with what is in it."""
    digest = blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def count(number: float | None) -> str:
    """A number with separators: 12,345; fractions only where it is below ten."""
    if number is None:
        return NONE
    if isinstance(number, float) and not number.is_integer() and abs(number) < 10:
        return f"{number:.1f}"
    return f"{number:,.0f}"


def usd(amount: Decimal | float | None) -> str:
    """Dollars with as many places as such amounts need; None is not known."""
    if amount is None:
        return "unknown"
    value = Decimal(amount)
    if value == 0:
        return "$0"
    if abs(value) >= 1000:
        return f"${value:,.0f}"
    if abs(value) >= Decimal("0.995"):
        return f"${value:,.2f}"
    if abs(value) < Decimal("0.0000005"):
        return "< $0.000001"
    return f"${value:.4f}" if abs(value) >= Decimal("0.0001") else f"${value:.6f}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as per cent."""
    if share is None:
        return NONE
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def duration(seconds: float | timedelta | None) -> str:
    """A time span in its two largest units: 340 ms, 12.4 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return NONE
    value = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if value < 1:
        return f"{max(0.0, value) * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    whole = round(value)
    for size, unit in _UNITS:
        if whole >= size:
            more = _rest(whole % size, size)
            return f"{whole // size} {unit}{more}"
    return NONE


def _rest(seconds: int, below: int) -> str:
    size, unit = {86_400: (3600, "h"), 3600: (60, "min")}.get(below, (1, "s"))
    return f" {seconds // size} {unit}" if seconds >= size else ""


def milliseconds(value: float | None) -> str:
    """As `duration`, of milliseconds."""
    return NONE if value is None else duration(value / 1000)


def short(text: str | None, most: int = 8) -> str:
    """The end of an ID, by which people tell it from others."""
    if not text:
        return NONE
    return text if len(text) <= most else f"…{text[-most:]}"


def time_element(moment: datetime | None, style: str = "moment") -> str:
    """A moment, which the page shows in the reader's zone; `style` moment, clock, day or ago."""
    if moment is None:
        return NONE
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}" data-style="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), style, f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    )
