"""The canary: the cheapest real call to a provider, made to find out whether a key works.

A worker makes it when it starts, `penstock smoke` on demand, and a workspace's new key is tried
with it as a job.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import get_args

from penstock_schemas.catalog import Catalog, Model, SizeCategory
from penstock_schemas.errors import PenstockError
from penstock_schemas.jobs import Embed, Generate
from penstock_schemas.status import ErrorKind

PROMPT = "ping"
MAX_TOKENS = 16
#: Models that think first would spend the smaller limit on thought and answer with an error.
REASONING_MAX_TOKENS = 512
#: Kinds of a failed answer that a provider only gives to a key that works.
ANSWERED = frozenset((ErrorKind.LENGTH, ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER))
#: Kinds by which a provider says that it does not accept a key.
REFUSED = frozenset((ErrorKind.AUTHENTICATION, ErrorKind.PERMISSION))
_SIZES: tuple[str, ...] = get_args(SizeCategory)


def cheapest_model(models: Catalog, provider: str, *, today: date) -> Model | None:
    """The active model of a provider that costs least for a word in and a word out.

    A chat model, unless the provider has embeddings alone; by price, then size. Models without a
    known price come last. Where none is listed it is the provider's default model, if it has one.
    """
    listed = [model for model in models.models_of(provider) if model.is_active(today)]
    chat = [model for model in listed if model.kind == "chat"]
    if listed:
        return min(chat or listed, key=_dearness)
    if models.provider(provider).default_model is None:
        return None
    try:
        return models.resolve(provider)
    except PenstockError:
        return None


def canary_tokens(model: Model) -> int:
    """The longest answer that a canary asks for."""
    return REASONING_MAX_TOKENS if model.reasoning else MAX_TOKENS


def canary_job(model: Model, *, workspace: str) -> Generate | Embed:
    """A word to complete, or to embed."""
    if model.kind == "embedding":
        return Embed(workspace=workspace, input=(PROMPT,))
    return Generate(workspace=workspace, prompt=PROMPT, max_tokens=canary_tokens(model))


def _dearness(model: Model) -> tuple[bool, Decimal, int, str]:
    prices = (model.input_usd_per_mtok, model.output_usd_per_mtok)
    known = [price for price in prices if price is not None]
    return (
        len(known) < len(prices),
        sum(known, Decimal()),
        _SIZES.index(model.size_category),
        model.name,
    )
