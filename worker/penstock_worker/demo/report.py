"""What the demo shows at its end: speed, samples, accuracy, and what it would have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock_client import Result
from penstock_worker.demo.figures import Figures, Pace
from penstock_worker.demo.work import Classified, Extracted, Labelled, Reasoned

#: Wider tables are harder to read, not easier.
WIDEST = 108
_SAMPLES = 5
_SAMPLES_WRONG = 2
_ANSWER_LIMIT = 320

SIMULATED_NOTE = (
    "Simulated: these answers were computed by a simulator on this machine and no provider was "
    "called, so their accuracy says nothing about a real model's. Queue, ledger and workers are "
    "the real ones. The cost is what the providers would have charged at the catalogue's prices."
)


def print_report(
    console: Console,
    figures: Figures,
    *,
    classified: Classified,
    extracted: Extracted,
    reasoned: Reasoned,
) -> None:
    """Print everything, as wide as the terminal allows, at most 108 columns."""
    width = min(console.width, WIDEST)
    for part in (
        _paces(figures),
        _messages(classified, figures),
        _fields(extracted, figures),
        _usage(figures),
    ):
        console.print(part, width=width)
    _answer(console, reasoned, width=width)
    if figures.simulated:
        console.print(Text(SIMULATED_NOTE, style="yellow"), width=width)
    _failures(console, (*classified.results, *extracted.results, *reasoned.results), width=width)


def print_next(console: Console, *, kept: str | None) -> None:
    """Where to look next."""
    console.print()
    console.print(Text("Next", style="bold"))
    console.print(
        Text("  penstock up           the same stack, until Ctrl-C, for your own programs")
    )
    console.print(Text("  examples/             programs that run against it"))
    console.print(Text("  docs/architecture.md  how it works"))
    if kept is not None:
        console.print(Text(f"  {kept}  kept: data, and logs/"), soft_wrap=True)


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )


def _paces(figures: Figures) -> Table:
    table = _table("From submit to result, the wait for a free slot included")
    table.add_column("work", no_wrap=True)
    for name in ("jobs", "ok", "time", "jobs/s", "p50", "p95", "right"):
        table.add_column(name, justify="right", no_wrap=True)
    labels = f"labels {_percent(figures.labels_right, figures.classification.jobs)}"
    fields = f"fields {figures.fields_share:.1%}"
    for title, pace, right in (
        ("classify", figures.classification, labels),
        ("extract", figures.extraction, fields),
        ("reason", figures.reasoning, ""),
    ):
        table.add_row(title, *_pace(pace), right)
    return table


def _pace(pace: Pace) -> tuple[str, ...]:
    return (
        f"{pace.jobs:,}",
        f"{pace.succeeded:,}",
        f"{pace.elapsed_s:.2f} s",
        f"{pace.jobs_per_s:,.0f}" if pace.jobs > 1 else "",
        f"{pace.p50_ms:,} ms",
        f"{pace.p95_ms:,} ms",
    )


def _messages(classified: Classified, figures: Figures) -> Table:
    table = _table(f"Support messages: {figures.labels_right} of {len(classified.rows)} right")
    table.expand = True
    table.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("label given", no_wrap=True)
    table.add_column("expected", no_wrap=True)
    for row in _samples(classified.rows):
        right = row.result.output == row.message["label"]
        given = Text(str(row.result.output), style="green" if right else "red")
        table.add_row(Text(" ".join(row.message["text"].split())), given, row.message["label"])
    return table


def _samples(rows: Sequence[Labelled]) -> list[Labelled]:
    """A few rows, wrong ones among them where there are any, in their order."""
    wrong = islice((r for r in rows if r.result.output != r.message["label"]), _SAMPLES_WRONG)
    shown = list(wrong)
    right = (r for r in rows if r.result.output == r.message["label"])
    shown += islice(right, _SAMPLES - len(shown))
    return sorted(shown, key=lambda row: row.message["id"])


def _fields(extracted: Extracted, figures: Figures) -> Table:
    table = _table(f"Orders: one of {len(extracted.rows)}, and how often each field was right")
    table.expand = True
    table.add_column("field", no_wrap=True)
    table.add_column("extracted", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("expected", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("right", justify="right", no_wrap=True)
    sample = extracted.rows[0]
    wanted: Mapping[str, object] = {**sample.order["expected"]}
    for name, right in figures.fields_right.items():
        given, expected = getattr(sample.result.output, name, None), wanted[name]
        style = "green" if given == expected else "red"
        share = f"{right}/{figures.extraction.jobs}"
        table.add_row(name, Text(_plain(given), style=style), _plain(expected), share)
    return table


def _usage(figures: Figures) -> Table:
    title = "Usage, from the ledger" + (" (simulated)" if figures.simulated else "")
    table = _table(title)
    table.show_footer = len(figures.usage) > 1
    table.add_column("provider/model", footer="together", overflow="fold")
    tokens_in = sum(model.input_tokens for model in figures.usage)
    tokens_out = sum(model.output_tokens for model in figures.usage)
    for name, total in (
        ("calls", f"{figures.calls:,}"),
        ("tokens in", f"{tokens_in:,}"),
        ("tokens out", f"{tokens_out:,}"),
        ("cost", _money(figures.cost_usd)),
    ):
        table.add_column(name, footer=total, justify="right")
    for model in figures.usage:
        table.add_row(
            f"{model.provider}/{model.model}",
            f"{model.calls:,}",
            f"{model.input_tokens:,}",
            f"{model.output_tokens:,}",
            _money(model.cost_usd),
        )
    return table


def _answer(console: Console, reasoned: Reasoned, *, width: int) -> None:
    result = reasoned.results[0]
    text = " ".join((result.text or "").split())
    shown = text if len(text) <= _ANSWER_LIMIT else text[: _ANSWER_LIMIT - 1].rstrip() + "…"
    console.print(Text(f"Reasoning ({result.provider}/{result.model})", style="bold"), width=width)
    console.print(Text(f"Q  {reasoned.question}", style="dim"), width=width)
    console.print(Text(f"A  {shown}"), width=width)
    console.print()


def _failures(console: Console, results: Sequence[Result], *, width: int) -> None:
    failed = [result for result in results if not result.ok]
    if not failed:
        return
    console.print()
    console.print(Text(f"{len(failed)} jobs have no answer; the first:", "bold red"), width=width)
    first = failed[0]
    reason = first.error.message if first.error else first.status.label
    console.print(Text(f"  job {first.job_id}: {reason}"), width=width)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _money(cost_usd: Decimal | None) -> str:
    return "unknown" if cost_usd is None else f"${cost_usd:.4f}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)
