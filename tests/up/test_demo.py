"""`penstock demo`: its figures add up, and it leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
from decimal import Decimal
from pathlib import Path

from penstock_worker.demo.figures import percentile, share

from .stands import PENSTOCK, descendants, environment, runs, until


def test_demo_figures_add_up(tmp_path: Path) -> None:
    variables = environment(tmp_path) | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*PENSTOCK, "demo", "--json", "--messages", "30"],
        check=False,
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    jobs = [figures[name]["jobs"] for name in ("classification", "extraction", "reasoning")]
    assert jobs == [30, 24, 1]
    assert figures["simulated"] is True
    assert figures["calls"] == sum(model["calls"] for model in figures["usage"]) == sum(jobs)
    costs = [Decimal(model["cost_usd"]) for model in figures["usage"]]
    assert Decimal(figures["cost_usd"]) == sum(costs) > 0
    assert figures["classification"]["right"] > 10
    assert "\x1b" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("penstock-demo-*"))


async def test_demo_stops_on_ctrl_c(tmp_path: Path) -> None:
    with (tmp_path / "output").open("w+") as output:
        demo = subprocess.Popen(
            [*PENSTOCK, "demo", "--messages", "20000"],
            cwd=tmp_path,
            env=environment(tmp_path) | {"TMPDIR": str(tmp_path)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            heard = tmp_path / "output"
            await until(lambda: "workers" in heard.read_text().split("providers", 1)[-1])
            children = descendants(demo.pid)
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=30) == 130
        finally:
            demo.kill()
            demo.wait()
    assert not [pid for pid in children if runs(pid)]
    assert "Traceback" not in heard.read_text()
    assert not list(tmp_path.glob("penstock-demo-*"))


def test_percentile_is_a_value_that_occurred() -> None:
    assert percentile([1, 2, 3, 100], 0.5) == 2
    assert percentile([1, 2, 3, 100], 0.95) == 100
    assert percentile([], 0.5) == 0


def test_share_of_nothing_is_zero() -> None:
    assert share(0, 0) == 0.0
