"""How backfills look on a terminal, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from penstock_client.cli.printing import shown_seconds, shown_time
from penstock_schemas.backfills import BackfillState

if TYPE_CHECKING:
    from penstock_schemas.backfills import BackfillStatus


@dataclass(frozen=True, slots=True)
class Since:
    """What stood already when a command began: the rest is its own doing."""

    done: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    simulated: int

    @classmethod
    def nothing(cls) -> Since:
        """All that stands is told."""
        return cls(
            done=0, calls=0, input_tokens=0, output_tokens=0, cost_usd=Decimal(0), simulated=0
        )

    @classmethod
    def of(cls, status: BackfillStatus) -> Since:
        """As it stood then; failed rows are asked again, so they are not done."""
        return cls(
            done=status.succeeded + status.adopted,
            calls=status.calls,
            input_tokens=status.input_tokens,
            output_tokens=status.output_tokens,
            cost_usd=status.cost_usd,
            simulated=status.simulated_rows,
        )


def summary(status: BackfillStatus, since: Since, *, elapsed_s: float) -> dict[str, Any]:
    """What a command did, as JSON: the stable shape of `--json`. `cost_usd` leaves out unknowns."""
    succeeded = status.succeeded + status.adopted - since.done
    ended = succeeded + status.without_answer
    guess = status.estimate
    return {
        "backfill_id": status.backfill_id,
        "status": status.status.label,
        "reason": status.reason,
        "rows": status.rows,
        "succeeded": succeeded,
        "failed": status.without_answer,
        "skipped": since.done,
        "duplicates": status.duplicates,
        "errors": dict(status.errors),
        "calls": status.calls - since.calls,
        "tokens": {
            "input": status.input_tokens - since.input_tokens,
            "output": status.output_tokens - since.output_tokens,
        },
        "cost_usd": float(status.cost_usd - since.cost_usd),
        "cost_unknown_rows": status.cost_unknown_rows,
        "elapsed_s": round(elapsed_s, 3),
        "rows_per_s": round(ended / elapsed_s, 1) if elapsed_s > 0 else 0.0,
        "simulated_rows": status.simulated_rows - since.simulated,
        "estimate": None if guess is None else guess.model_dump(mode="json"),
    }


def summary_lines(status: BackfillStatus, since: Since, elapsed_s: float) -> list[str]:
    """What a command did, for people: what became of its rows, and what it took."""
    done = summary(status, since, elapsed_s=elapsed_s)
    ended = f"{done['succeeded']:,} succeeded, {done['failed']:,} failed"
    lines = [f"{status.rows:,} rows: {ended}, {since.done:,} done before"]
    if status.status is BackfillState.CANCELLED:
        lines.append("it was cancelled")
    lines += [f"  failed: {kind} {count:,}" for kind, count in status.errors.items()]
    if status.duplicates:
        lines.append(f"{status.duplicates:,} rows share the answer of another of the same content")
    cost = f"${done['cost_usd']:.4f}"
    if status.cost_unknown_rows:
        cost += f" (unknown for {status.cost_unknown_rows:,} rows)"
    tokens = done["tokens"]
    lines.append(
        f"{done['calls']:,} calls, {tokens['input']:,} + {tokens['output']:,} tokens, {cost}"
    )
    lines.append(f"{shown_seconds(elapsed_s)}, {done['rows_per_s']:,.0f} rows/s")
    if done["simulated_rows"]:
        lines.append(f"{done['simulated_rows']:,} answers are simulated: no provider was called")
    return lines


def estimate_lines(status: BackfillStatus) -> list[str]:
    """What all rows will take, by those that were asked."""
    guess = status.estimate
    if guess is None:
        return ["what all rows will take is not known: no row has an answer of known cost"]
    between = f"${guess.cost_low_usd:.4f} to ${guess.cost_high_usd:.4f}, 95 %"
    cost = f"all {guess.rows:,} rows will cost about ${guess.cost_usd:.4f} ({between})"
    times = f"{shown_seconds(guess.seconds_low)} to {shown_seconds(guess.seconds_high)}"
    return [cost, f"and take {times}"]


def paused_lines(status: BackfillStatus) -> list[str]:
    """Why it is paused, what it will take, and how to go on."""
    on = f"penstock backfill resume {status.backfill_id}"
    if status.sample is not None and status.done <= status.sample:
        then = f"go on with `{on}`, or with the same command without --dry-run"
    elif status.reason is not None and "ceiling" in status.reason:
        then = f"go on with a higher ceiling: `{on} --max-cost-usd …`, or --max-error-rate"
    else:
        then = f"go on with `{on}`"
    return [
        f"paused: {status.reason or 'by hand'}",
        f"{status.done:,} of {status.rows:,} rows are done, ${status.cost_usd:.4f} spent",
        *estimate_lines(status),
        then,
    ]


def status_lines(status: BackfillStatus) -> list[str]:
    """How a backfill stands, for people."""
    state = status.status.label + (f": {status.reason}" if status.reason else "")
    cost = f"${status.cost_usd:.4f}"
    if status.projected_cost_usd is not None and not status.status.is_terminal:
        cost += f" of about ${status.projected_cost_usd:.4f}"
    if status.max_cost_usd is not None:
        cost += f", ceiling ${status.max_cost_usd:f}, ${status.held_usd:.4f} held by calls"
    ended = f"{status.succeeded:,} succeeded, {status.failed:,} failed"
    waiting = f"{status.invalid:,} cannot be asked, {status.under_way:,} under way"
    lines = [
        f"backfill   {status.backfill_id}" + (f" ({status.name})" if status.name else ""),
        f"state      {state}",
        f"asks       {status.type} of {status.origin or 'rows'} for {status.workspace}",
        f"rows       {status.rows:,}: {ended}, {waiting}",
        f"cost       {cost}",
        f"calls      {status.calls:,}, {status.input_tokens:,} + {status.output_tokens:,} tokens",
        f"started    {shown_time(status.started_at)}, ended {shown_time(status.finished_at)}",
    ]
    if status.duplicates or status.adopted:
        told = f"{status.duplicates:,} duplicates, {status.adopted:,} answered before"
        lines.append(f"of these   {told}")
    if status.status is BackfillState.RUNNING:
        lines.append(f"pace       {figures(status)}")
    if status.status is BackfillState.PAUSED and status.sample is not None:
        lines.append(f"estimate   {', '.join(estimate_lines(status))}")
    lines += [f"  failed: {kind} {count:,}" for kind, count in status.errors.items()]
    if status.simulated_rows:
        lines.append(f"{status.simulated_rows:,} answers are simulated: no provider was called")
    return lines


def figures(status: BackfillStatus) -> str:
    """Rate, limits, cost so far and projected, errors, time left: the figures of one moment."""
    parts = [f"{status.rows_per_s:,.0f} rows/s"]
    if status.limit_share is not None:
        parts.append(f"{status.limit_share:.0%} of the limit")
    cost = f"${status.cost_usd:.4f}"
    if status.projected_cost_usd is not None:
        cost += f" of about ${status.projected_cost_usd:.4f}"
    parts.append(cost)
    if status.errors:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in list(status.errors.items())[:3])
        parts.append(f"{status.without_answer:,} failed ({kinds})")
    if status.left_s is not None:
        parts.append(f"{shown_seconds(status.left_s)} left")
    return ", ".join(parts)
