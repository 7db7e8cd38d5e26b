"""Pure: a provider, a workspace's key and who is on duty -> a card of the settings."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from penstock_client.ledger import WorkspaceConfig
from penstock_client.provider_keys import KeyInfo
from penstock_schemas.canary import cheapest_model
from penstock_schemas.catalog import Catalog, Provider
from penstock_schemas.ids import JobId
from penstock_schemas.results import Result

Standing = Literal["own", "untested", "refused", "platform", "none", "unknown"]

#: How a card's chip looks, and what it says.
_CHIPS: Final[Mapping[Standing, tuple[str, str]]] = {
    "own": ("connected", "Connected"),
    "untested": ("held", "Connected, untested"),
    "refused": ("fault", "Key refused"),
    "platform": ("connected", "Connected"),
    "none": ("", "Not configured"),
    "unknown": ("", "Not known"),
}
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_MOST_TEXT: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class CardShown:
    """A provider as a workspace has it. Of its key only what it is named by."""

    provider: str
    name: str
    monogram: str
    api: str
    standing: Standing
    enabled: bool
    needs_key: bool
    fingerprint: str | None
    problem: str | None
    tested_at: datetime | None
    asks: str | None
    key_variables: tuple[str, ...]

    @property
    def chip(self) -> str:
        """The class of its chip."""
        return _CHIPS[self.standing][0]

    @property
    def word(self) -> str:
        """What its chip says."""
        return _CHIPS[self.standing][1]

    @property
    def is_own(self) -> bool:
        """Whether the workspace has a key of its own here."""
        return self.fingerprint is not None

    @property
    def is_configured(self) -> bool:
        """Whether calls can go there, as the API tells it."""
        return self.standing in {"own", "untested", "platform"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCall:
    """What came of the call that tried a key; `cost_usd` None is not known."""

    job_id: JobId
    model: str
    answer: str | None
    error: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    duration_ms: int
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was just done to a card; `call` where a provider was asked."""

    kind: Literal["good", "fault", "held"]
    title: str
    detail: str = ""
    call: TestCall | None = None


def cards(
    config: WorkspaceConfig,
    keys: Sequence[KeyInfo],
    catalog: Catalog,
    *,
    alive: Collection[str] | None,
    today: date,
) -> tuple[CardShown, ...]:
    """A card for each provider that is active or has a key; those that can be called come first."""
    own = {info.provider: info for info in keys}
    shown = [
        card(row, own.get(row.name), config, catalog, alive=alive, today=today)
        for row in catalog.providers
        if row.is_active or row.name in own
    ]
    return tuple(sorted(shown, key=lambda each: not (each.is_own or each.is_configured)))


def card(
    row: Provider,
    key: KeyInfo | None,
    config: WorkspaceConfig,
    catalog: Catalog,
    *,
    alive: Collection[str] | None,
    today: date,
) -> CardShown:
    """One provider's card."""
    asked = cheapest_model(catalog, row.name, today=today)
    return CardShown(
        provider=row.name,
        name=row.display_name,
        monogram=monogram(row.display_name),
        api="OpenAI-compatible API" if row.is_openai_compatible else "Native API",
        standing=_standing(row, key, alive),
        enabled=row.name not in config.disabled,
        needs_key=row.needs_key,
        fingerprint=key and key.fingerprint,
        problem=key and key.problem,
        tested_at=key and key.tested_at,
        asks=asked.ref if asked else None,
        key_variables=row.key_variables,
    )


def _standing(row: Provider, key: KeyInfo | None, alive: Collection[str] | None) -> Standing:
    if key is not None:
        return "untested" if key.works is None else "own" if key.works else "refused"
    if alive is None:
        return "unknown"
    return "platform" if row.name in alive else "none"


def monogram(name: str) -> str:
    """Two letters for a name: of its first words, its first capitals, or its beginning."""
    words = _WORD.findall(name)
    if len(words) > 1:
        return (words[0][0] + words[1][0]).upper()
    capitals = [letter for letter in name if letter.isupper()]
    return "".join(capitals[:2]) if name[0].isupper() and len(capitals) > 1 else name[:2]


def call_shown(job_id: JobId, body: bytes) -> TestCall:
    """What is shown of the result of a test."""
    result = Result.decode(body)
    text = (result.text or "").strip()
    answer = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
    if not answer and result.vectors:
        answer = f"a vector of {len(result.vectors[0]):,} numbers"
    return TestCall(
        job_id=job_id,
        model=f"{result.provider}/{result.model}",
        answer=answer or None,
        error=result.error.message if result.error else None,
        input_tokens=result.usage.input_tokens,
        output_tokens=result.usage.output_tokens,
        cost_usd=result.cost_usd,
        duration_ms=result.duration_ms,
        simulated=result.simulated,
    )
