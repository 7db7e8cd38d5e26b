"""The usage page in a browser: charts with tables, filters, exports, and whose usage it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, expect

from penstock_client import Classify, Generate, Penstock
from tests.console.conftest import Watched, watched

MODEL = "openai/gpt-4o-mini"
WorkFor = Callable[..., Awaitable[None]]


@pytest.fixture
async def used(penstock: Penstock, work_for: WorkFor) -> None:
    """Some calls of two skills, by a simulated provider."""
    await work_for("openai")
    jobs = [
        Generate(workspace="acme", prompt=f"Letter {n}", model=MODEL, skill="letters")
        for n in range(6)
    ]
    sorting = [
        Classify(workspace="acme", text=f"{n}", labels=("a", "b"), model=MODEL, skill="sorting")
        for n in range(4)
    ]
    for handle in await penstock.submit_many([*jobs, *sorting]):
        await handle.result(timeout_s=20)


async def test_usage_shows_what_the_api_tells(
    acme_page: Watched, penstock: Penstock, used: None
) -> None:
    await acme_page.goto("/usage")
    page = acme_page.page
    since = datetime.now(UTC) - timedelta(days=7)
    (total,) = await penstock.usage.summary("acme", since)
    await expect(page.locator("#sum-calls")).to_have_text(f"{total.calls:,}")
    await expect(page.locator("#sum-input")).to_have_text(f"{total.input_tokens:,}")
    await expect(page.locator("#sum-output")).to_have_text(f"{total.output_tokens:,}")
    assert total.cost_usd is not None
    shown = float((await page.locator("#sum-cost").inner_text()).removeprefix("$"))
    assert shown == pytest.approx(float(total.cost_usd), rel=0.05)
    by_skill = await penstock.usage.summary("acme", since, by=("skill",))
    rows = page.locator("#groups tbody tr")
    await expect(rows).to_have_count(len(by_skill))
    for place, row in enumerate(by_skill):
        await expect(rows.nth(place)).to_contain_text(str(row.group["skill"]))
        await expect(rows.nth(place).locator("td.number").nth(0)).to_have_text(f"{row.calls:,}")
    await expect(page.locator(".head .chip.simulated").first).to_have_text("simulated")


async def test_usage_draws_both_charts_beside_their_tables(acme_page: Watched, used: None) -> None:
    await acme_page.goto("/usage")
    page = acme_page.page
    await expect(page.locator(".chart canvas")).to_have_count(2)
    await expect(page.locator(".beside table")).to_have_count(2)
    inked = """(canvas) => {
        const {width, height} = canvas;
        const found = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const colours = new Set();
        for (let at = 0; at < found.length; at += 4)
            if (found[at + 3] === 255) colours.add(found.slice(at, at + 3).join());
        return [...colours];
    }"""
    for place in range(2):
        colours = await page.locator(".chart canvas").nth(place).evaluate(inked)
        assert {"11,112,120", "208,138,29"} <= set(colours)  # both skills
    box = await page.locator(".chart .u-over").first.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 13 / 14, box["y"] + 50)
    await expect(page.locator("[data-readout]").first).to_contain_text("letters $")
    assert await acme_page.serious() == []
    acme_page.check_quiet()


async def test_usage_is_drawn_anew_in_the_other_theme(acme_page: Watched, used: None) -> None:
    await acme_page.goto("/usage")
    before = await acme_page.page.locator(".chart canvas").first.evaluate("(c) => c.toDataURL()")
    await acme_page.page.click("[data-theme-switch]")
    after = await acme_page.page.locator(".chart canvas").first.evaluate("(c) => c.toDataURL()")
    assert before != after
    assert await acme_page.serious() == []


async def test_usage_is_told_apart_and_chosen_by_links(acme_page: Watched, used: None) -> None:
    await acme_page.goto("/usage")
    page = acme_page.page
    await page.get_by_role("link", name="sorting").click()
    await expect(page.locator("#sum-calls")).to_have_text("4")
    await page.get_by_role("link", name="by capability").click()
    await expect(page.locator("#groups tbody tr")).to_have_count(1)
    await expect(page.locator("#groups tbody tr")).to_contain_text("classify")
    await page.locator(".chosen").click()
    await expect(page.locator("#sum-calls")).to_have_text("10")
    await page.get_by_role("link", name="by model").click()
    await expect(page.locator("#groups tbody tr")).to_contain_text(MODEL)
    await page.get_by_role("link", name="24 hours").click()
    await expect(page.locator(".beside").first.locator("tbody tr")).to_have_count(24)
    await expect(page.locator("#sum-calls")).to_have_text("10")


async def test_usage_is_exported(acme_page: Watched, used: None, tmp_path: Path) -> None:
    await acme_page.goto("/usage")
    links = acme_page.page.get_by_role("link", name="CSV")
    async with acme_page.page.expect_download() as sums:
        await links.first.click()
    text = Path(await (await sums.value).path()).read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(int(row["calls"]) for row in rows) == 10
    assert {row["skill"] for row in rows} == {"letters", "sorting"}
    async with acme_page.page.expect_download() as calls:
        await acme_page.page.get_by_role("link", name="JSON lines").last.click()
    lines = Path(await (await calls.value).path()).read_text().splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["gpt-4o-mini"] * 10


async def test_usage_of_nothing_says_what_to_do(acme_page: Watched) -> None:
    await acme_page.goto("/usage")
    await expect(acme_page.page.locator(".empty")).to_contain_text("No calls in 7 days")
    assert await acme_page.serious() == []
    acme_page.check_quiet()


async def test_usage_of_another_workspace_is_not_found(
    acme_page: Watched, penstock: Penstock
) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    for path in ("/usage", "/usage/export"):
        answer = await acme_page.page.context.request.get(f"{acme_page.url}{path}?workspace=other")
        assert answer.status == 404, path


async def test_usage_fits_a_narrow_dark_screen(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    acme_token: str,
    used: None,
) -> None:
    context = await browser(viewport={"width": 360, "height": 740}, color_scheme="dark")
    narrow = await watched(context, console_url)
    await narrow.log_in(acme_token)
    await narrow.goto("/usage")
    await expect(narrow.page.locator(".chart canvas")).to_have_count(2)
    assert await narrow.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert await narrow.serious() == []
