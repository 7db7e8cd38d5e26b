"""`python -m benchmarks [NAME ...]`: run benchmarks and hold their figures against the goals."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks import (
    arq,
    awaits,
    backfill,
    claims,
    console,
    depth,
    fairness,
    gateway,
    latency,
    limits,
    machine,
    outage,
    pickup,
    sparse,
    submit,
    throttled,
    throughput,
    usage,
    wires,
)
from benchmarks.figures import Figure, table
from benchmarks.stand import Stand

#: In the order in which they run, whatever the order they are named in.
BENCHES = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "arq": arq.measure,
    "sparse": sparse.measure,
    "submit": submit.measure,
    "awaits": awaits.measure,
    "backfill": backfill.measure,
    "gateway": gateway.measure,
    "usage": usage.measure,
    "console": console.measure,
    "depth": depth.measure,
    "claims": claims.measure,
    "fairness": fairness.measure,
    "pickup": pickup.measure,
    "throttled": throttled.measure,
    "limits": limits.measure,
    "outage": outage.measure,
    "wires": wires.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns 1 when a goal is missed and `--strict` was given."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    warning = machine.warning_when_busy()
    if warning:
        print(f"Note: {warning}.", file=sys.stderr)
    facts = machine.facts()
    names = [name for name in BENCHES if name in (options.names or BENCHES)]
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=options.folder) as folder:
        figures, fsync = uvloop.run(_run(names, Path(folder), full=options.full))
    figures += ratios(figures)
    if options.json:
        rows = [figure.as_json() for figure in figures]
        print(json.dumps({"machine": {**facts, "fsync": fsync}, "figures": rows}, indent=2))
    else:
        print(f"\n{table(figures)}\n")
        print(
            f"{facts['cores']} cores, load average {facts['load_average']} before the run, "
            f"Python {facts['python']}, {facts['system']}, Postgres with fsync {fsync}"
        )
        if warning:
            print(f"Note: {warning}.")
    return int(options.strict and any(figure.met is False for figure in figures))


async def _run(names: Sequence[str], folder: Path, *, full: bool) -> tuple[list[Figure], str]:
    figures: list[Figure] = []
    async with Stand(folder) as stand:
        for name in names:
            began = time.perf_counter()
            figures += await BENCHES[name](stand, full=full)
            print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
        return figures, stand.fsync


def ratios(figures: Sequence[Figure]) -> list[Figure]:
    """What a whole job costs in the worker, measured in empty arq jobs of the same run."""
    empty = [f.value for f in figures if f.bench == "arq" and f.unit == "µs/job"]
    if not empty or not empty[0]:
        return []
    return [
        Figure(
            bench="ratio",
            name=f"{figure.name} / an empty arq job",
            value=figure.value / empty[0],
            unit="x",
            goal=1.0,
        )
        for figure in figures
        if figure.bench in ("throughput", "sparse") and figure.goal and figure.unit == "µs/job"
        if figure.value is not None
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Penstock on real servers, against the goals it was designed for.",
        epilog="Example: scripts/bench latency throughput",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--full", action="store_true", help="larger runs; a million queued jobs")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument("--folder", type=Path, help="where the servers keep data meanwhile")
    return parser


if __name__ == "__main__":
    sys.exit(main())
