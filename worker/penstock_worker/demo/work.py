"""What the demo asks for, and what it got: three phases, each submitted at once and awaited."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

from pydantic import BaseModel

from penstock_client import Classify, Extract, Penstock, Reason, Result
from penstock_worker.demo_data import LABELS, OrderEmail, SupportMessage, messages, orders

WORKSPACE = "demo"
#: How long one phase may take; far more than it needs.
TIMEOUT_S = 300.0


class Order(BaseModel):
    """The typed schema that is filled from each order e-mail."""

    customer_name: str
    order_number: str
    total_amount: float
    currency: Literal["EUR", "USD", "GBP"]
    items: list[str]
    express: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """One message with the answer it got."""

    message: SupportMessage
    result: Result


@dataclass(frozen=True, slots=True)
class Filled:
    """One order e-mail with the answer it got."""

    order: OrderEmail
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """All results of one kind of job, and the time from the submit to the last result."""

    results: tuple[Result, ...]
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified(Phase):
    """The bulk classification."""

    rows: tuple[Labelled, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted(Phase):
    """The extraction into `Order`."""

    rows: tuple[Filled, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoned(Phase):
    """The one awaited question."""

    question: str


Advance = Callable[[], None]


async def classify(penstock: Penstock, *, count: int, advance: Advance) -> Classified:
    """Label `count` of the support messages; beyond 240 they repeat."""
    asked = list(islice(cycle(messages()), count))
    jobs = [
        Classify(workspace=WORKSPACE, text=message["text"], labels=LABELS, lane="bulk")
        for message in asked
    ]
    results, elapsed_s = await _all(penstock, jobs, advance)
    rows = tuple(map(Labelled, asked, results))
    return Classified(results=results, elapsed_s=elapsed_s, rows=rows)


async def extract(penstock: Penstock, *, advance: Advance) -> Extracted:
    """Fill an `Order` from each order e-mail."""
    asked = orders()
    jobs = [Extract(workspace=WORKSPACE, text=order["text"], schema=Order) for order in asked]
    results, elapsed_s = await _all(penstock, jobs, advance)
    rows = tuple(map(Filled, asked, results))
    return Extracted(results=results, elapsed_s=elapsed_s, rows=rows)


async def reason(penstock: Penstock, classified: Classified, *, advance: Advance) -> Reasoned:
    """Ask one question about what the classification found."""
    question = _question(classified)
    job = Reason(workspace=WORKSPACE, prompt=question)
    results, elapsed_s = await _all(penstock, [job], advance)
    return Reasoned(results=results, elapsed_s=elapsed_s, question=question)


async def _all(
    penstock: Penstock, jobs: Sequence[Classify | Extract | Reason], advance: Advance
) -> tuple[tuple[Result, ...], float]:
    """Results in the jobs' order; raises ResultTimeout."""
    started_at = time.perf_counter()
    handles = await penstock.submit_many(jobs)

    async def awaited(index: int) -> Result:
        result = await handles[index].result(timeout_s=TIMEOUT_S)
        advance()
        return result

    results = await asyncio.gather(*(awaited(index) for index in range(len(handles))))
    return tuple(results), time.perf_counter() - started_at


def _question(classified: Classified) -> str:
    counts = Counter(str(row.result.output) for row in classified.rows if row.result.ok)
    told = [f"{count} about {label.replace('_', ' ')}" for label, count in counts.most_common(3)]
    return (
        f"A shop received {len(classified.rows):,} support messages, {', '.join(told)}. "
        "A wrong parcel costs it a refund, a failed payment a customer. "
        "What should the shop work on first, and why?"
    )
