"""Backfills in a browser: progress without reload, pause, resume, retry, cancel, export."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from penstock_client import Penstock
from penstock_client.backfill.options import BackfillOptions
from penstock_client.backfill.plan import Plan
from penstock_client.backfill.source import Source
from penstock_schemas.backfills import BackfillStatus
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.console.conftest import Watched, watched

WorkFor = Callable[..., Awaitable[None]]
Start = Callable[..., Awaitable[BackfillStatus]]


@pytest.fixture
def start(penstock: Penstock, tmp_path: Path) -> Start:
    """`await start(rows=30)` starts a backfill of tickets, each tenth of which is empty."""

    async def started(
        *, rows: int = 30, workspace: str = "acme", **options: object
    ) -> BackfillStatus:
        path = tmp_path / f"{workspace}.jsonl"
        lines = [
            {"id": number, "text": f"ticket {number}" if number % 10 else ""}
            for number in range(rows)
        ]
        path.write_text("\n".join(map(json.dumps, lines)))
        plan = Plan(
            workspace=workspace,
            kind="classify",
            labels=("refund", "praise"),
            model="openai/gpt-4o-mini",
            run="tickets",
        )
        given = BackfillOptions(**options)  # type: ignore[arg-type]
        return await penstock.backfills.start(plan, Source(path, "id"), options=given)

    return started


@pytest.mark.usefixtures("steward")
async def test_backfill_page_follows_it_to_its_end_without_reload(
    acme_page: Watched, penstock: Penstock, work_for: WorkFor, start: Start
) -> None:
    status = await start()
    await acme_page.goto(f"/backfills/{status.backfill_id}")
    page = acme_page.page
    await page.evaluate("window.stayed = true")
    await expect(page.locator("h1 + .chip")).to_have_text("running")
    await expect(page.locator(".legend .ahead")).to_contain_text("27")
    assert await acme_page.serious() == []
    await work_for("openai")
    await expect(page.locator("h1 + .chip")).to_have_text("failed", timeout=20_000)
    assert await page.evaluate("window.stayed === true")
    done = await penstock.backfills.get(status.backfill_id)
    await expect(page.locator(".legend .good")).to_contain_text(f"{done.succeeded}")
    await expect(page.locator(".errors")).to_contain_text("the row could not be asked")
    await expect(page.locator(".figures")).to_contain_text(
        f"{done.input_tokens + done.output_tokens:,}"
    )
    await expect(page.locator(".chip.simulated")).to_be_visible()
    assert await acme_page.serious() == []
    acme_page.check_quiet()


@pytest.mark.usefixtures("steward")
async def test_backfill_is_paused_bounded_and_resumed(
    acme_page: Watched, penstock: Penstock, start: Start
) -> None:
    status = await start()
    await acme_page.goto(f"/backfills/{status.backfill_id}")
    page = acme_page.page
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("h1 + .chip")).to_have_text("paused")
    paused = await penstock.backfills.get(status.backfill_id)
    assert (paused.status.label, paused.reason) == ("paused", "by acme's console")
    await page.fill("#max_cost_usd", "a lot")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.locator("#notes .note.fault")).to_contain_text("max_cost_usd")
    await page.fill("#max_cost_usd", "2.50")
    await page.fill("#window", "5")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.locator("h1 + .chip")).to_have_text("running")
    after = await penstock.backfills.get(status.backfill_id)
    assert (str(after.max_cost_usd), after.window) == ("2.50", 5)
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("h1 + .chip")).to_have_text("running")


async def test_backfill_asks_failed_rows_again(
    acme_page: Watched,
    penstock: Penstock,
    simulator: Simulator,
    work_for: WorkFor,
    start: Start,
) -> None:
    simulator.faults.add(Fault(kind="status", status=400, count=4))
    await work_for("openai")
    status = await start()
    ended = await penstock.backfills.wait(status.backfill_id, timeout_s=20)
    assert ended.failed == 4
    await acme_page.goto(f"/backfills/{status.backfill_id}")
    await acme_page.page.get_by_role("button", name="Ask 4 failed again").click()
    await expect(acme_page.page.locator(".legend .good")).to_contain_text("27", timeout=20_000)


@pytest.mark.usefixtures("steward")
async def test_backfill_is_cancelled_after_a_question(
    acme_page: Watched, penstock: Penstock, start: Start
) -> None:
    status = await start()
    await acme_page.goto(f"/backfills/{status.backfill_id}")
    asked: list[str] = []

    async def accept(dialog: object) -> None:
        asked.append(dialog.message)  # type: ignore[attr-defined]
        await dialog.accept()  # type: ignore[attr-defined]

    acme_page.page.on("dialog", accept)
    await acme_page.page.get_by_role("button", name="Cancel").click()
    await expect(acme_page.page.locator("h1 + .chip")).to_have_text("cancelled")
    assert "Cancel this backfill?" in asked[0]
    assert (await penstock.backfills.get(status.backfill_id)).status.label == "cancelled"


async def test_backfill_exports_its_rows_in_order(
    acme_page: Watched, penstock: Penstock, work_for: WorkFor, start: Start, tmp_path: Path
) -> None:
    await work_for("openai")
    status = await start()
    await penstock.backfills.wait(status.backfill_id, timeout_s=20)
    await acme_page.goto(f"/backfills/{status.backfill_id}")
    async with acme_page.page.expect_download() as begun:
        await acme_page.page.get_by_role("link", name="Export").click()
    download = await begun.value
    assert download.suggested_filename == "tickets.jsonl"
    await download.save_as(tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(range(30))
    assert sum(line["error"] is None for line in lines) == 27


async def test_backfill_after_its_dry_run_says_what_the_rest_costs(
    acme_page: Watched, penstock: Penstock, work_for: WorkFor, start: Start
) -> None:
    await work_for("openai")
    status = await start(sample=10)
    await penstock.backfills.wait(status.backfill_id, timeout_s=20)
    await acme_page.goto(f"/backfills/{status.backfill_id}")
    await expect(acme_page.page.locator(".note")).to_contain_text("Resume to ask the rest")
    await expect(acme_page.page.get_by_role("heading", name="Projection")).to_be_visible()


@pytest.mark.usefixtures("steward")
async def test_backfills_are_listed_live(
    acme_page: Watched, penstock: Penstock, start: Start
) -> None:
    await acme_page.goto("/backfills")
    await expect(acme_page.page.locator(".empty")).to_contain_text("No backfills in acme")
    status = await start()
    row = acme_page.page.locator("tbody tr")
    await expect(row.locator(".chip").first).to_have_text("running")
    assert await acme_page.serious() == []
    await penstock.backfills.pause(status.backfill_id)
    await expect(row.locator(".chip").first).to_have_text("paused")
    acme_page.check_quiet()


async def test_backfills_of_other_workspaces_are_refused(
    acme_page: Watched, penstock: Penstock, start: Start
) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    theirs = (await start(workspace="other")).backfill_id
    for path in (
        f"/backfills/{theirs}",
        f"/backfills/{theirs}/live",
        f"/backfills/{theirs}/export",
        "/backfills?workspace=other",
    ):
        await acme_page.goto(path)
        assert "tickets" not in await acme_page.page.content()
    assert len(acme_page.refused) == 4
    told = "path => fetch(path, {method: 'POST'}).then(answer => answer.status)"
    assert await acme_page.page.evaluate(told, f"/backfills/{theirs}/cancel") == 404
    assert (await penstock.backfills.get(theirs)).status.label == "running"


@pytest.mark.usefixtures("steward")
async def test_backfill_page_fits_a_narrow_dark_screen(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    acme_token: str,
    start: Start,
) -> None:
    context = await browser(viewport={"width": 360, "height": 740}, color_scheme="dark")
    seen = await watched(context, console_url)
    await seen.log_in(acme_token)
    status = await start(max_cost_usd=1)
    for path in ("/backfills", f"/backfills/{status.backfill_id}"):
        await seen.goto(path)
        wide = await seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path
        assert await seen.serious() == []
