"""Runs in a browser: the list, a pipeline as its graph, its steps' calls, cancel and resume."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import BrowserContext, Page, expect

from penstock_client import Penstock
from penstock_client.pipelines.skill import Skill
from tests.console.conftest import Watched, watched

WorkFor = Callable[..., Awaitable[None]]
MODEL = "openai/gpt-4o-mini"
TRIAGE = Skill.parse(
    {
        "name": "triage",
        "steps": [
            {
                "name": "sort",
                "type": "classify",
                "for_each": "{inputs.tickets}",
                "text": "{item}",
                "labels": ["refund", "praise"],
                "model": MODEL,
            },
            {"name": "sum-up", "type": "generate", "prompt": "{sort.output}", "model": MODEL},
        ],
        "output": "{sum-up.text}",
    }
)
TICKETS = {"tickets": [f"ticket {number}" for number in range(30)]}


async def start(penstock: Penstock, workspace: str = "acme") -> str:
    """A run of thirty tickets."""
    return (await penstock.runs.start(TRIAGE, workspace=workspace, inputs=TICKETS)).run_id


async def stay(page: Page) -> None:
    """Mark the page, so that a reload shows."""
    await page.evaluate("window.stayed = true")


async def stayed(page: Page) -> bool:
    """Whether it was not loaded again."""
    return await page.evaluate("window.stayed === true")


@pytest.mark.usefixtures("steward")
async def test_run_page_follows_a_run_to_its_end_without_reload(
    acme_page: Watched, penstock: Penstock, work_for: WorkFor
) -> None:
    run_id = await start(penstock)
    await acme_page.goto(f"/runs/{run_id}")
    page = acme_page.page
    await stay(page)
    sort = page.locator(".drawing.wide .node", has_text="sort")
    await expect(sort).to_have_class(re.compile("running"))
    await expect(sort).to_contain_text("0 of 30")
    await expect(page.locator(".drawing.wide .node", has_text="sum-up")).to_have_class(
        re.compile("waiting")
    )
    await work_for("openai")
    await expect(page.locator("h1 + .chip")).to_have_text("succeeded", timeout=20_000)
    await expect(sort).to_have_attribute("aria-label", "sort, classify, succeeded, 30 of 30")
    assert await stayed(page)
    result = await penstock.runs.get(run_id)
    figures = page.locator(".figures dd")
    await expect(figures.nth(1)).to_have_text("31")
    await expect(figures.nth(2)).to_have_text(f"{result.usage.input_tokens:,}")
    await expect(page.locator(".output")).to_contain_text("In short")
    await expect(page.locator(".chip.simulated").first).to_be_visible()
    assert await acme_page.serious() == []
    acme_page.check_quiet()


@pytest.mark.usefixtures("steward")
async def test_run_graph_tells_of_a_step_that_is_pointed_at_or_has_the_focus(
    acme_page: Watched, penstock: Penstock
) -> None:
    await acme_page.goto(f"/runs/{await start(penstock)}")
    page = acme_page.page
    about = page.locator('[data-about="0"]')
    await expect(about).to_be_hidden()
    await page.hover(".drawing.wide [data-step='0']")
    await expect(about).to_be_visible()
    await expect(about).to_contain_text("Once for each of {inputs.tickets}")
    assert await acme_page.serious() == []
    await page.keyboard.press("Escape")
    await expect(about).to_be_hidden()
    await page.focus(".drawing.wide [data-step='1']")
    await expect(page.locator('[data-about="1"]')).to_contain_text("after sort")


async def test_run_page_leads_from_a_step_to_its_jobs(
    acme_page: Watched, penstock: Penstock, work_for: WorkFor
) -> None:
    await work_for("openai")
    run_id = await start(penstock)
    await penstock.runs.result(run_id, timeout_s=20)
    await acme_page.goto(f"/runs/{run_id}")
    page = acme_page.page
    await page.focus(".drawing.wide [data-step='0']")
    await page.keyboard.press("Enter")
    calls = page.locator("#calls tbody tr")
    await expect(calls).to_have_count(20)
    await page.get_by_role("link", name="More").click()
    await expect(calls).to_have_count(10)
    assert await acme_page.serious() == []
    last = (await penstock.runs.items(run_id, "sort"))[-1]
    job = calls.last.locator("a")
    await expect(job).to_have_attribute("href", f"/jobs/{last.job_id}")
    await expect(calls.last).to_contain_text(str(last.output))


@pytest.mark.usefixtures("steward")
async def test_run_is_cancelled_and_resumed(acme_page: Watched, penstock: Penstock) -> None:
    run_id = await start(penstock)
    await acme_page.goto(f"/runs/{run_id}")
    page = acme_page.page
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("h1 + .chip")).to_have_text("cancelled")
    assert (await penstock.runs.get(run_id)).status.label == "cancelled"
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("h1 + .chip")).to_have_text("running")
    assert (await penstock.runs.get(run_id)).resumes == 1


@pytest.mark.usefixtures("steward")
async def test_runs_are_listed_and_chosen_by_state(acme_page: Watched, penstock: Penstock) -> None:
    await acme_page.goto("/runs")
    await expect(acme_page.page.locator(".empty")).to_contain_text("No runs in acme")
    await stay(acme_page.page)
    first, second = await start(penstock), await start(penstock)
    await penstock.runs.cancel(first)
    rows = acme_page.page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    assert await stayed(acme_page.page)
    assert await acme_page.serious() == []
    await acme_page.page.select_option("#state", "cancelled")
    await expect(rows).to_have_count(1)
    await stay(acme_page.page)
    await penstock.runs.cancel(second)  # the list takes it up by itself
    await expect(rows).to_have_count(2)
    assert await stayed(acme_page.page)
    acme_page.check_quiet()


async def test_runs_of_other_workspaces_are_refused(acme_page: Watched, penstock: Penstock) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    run_id = await start(penstock, "other")
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/live", "/runs?workspace=other"):
        await acme_page.goto(path)
        assert "triage" not in await acme_page.page.content()
    assert len(acme_page.refused) == 3
    told = "path => fetch(path, {method: 'POST'}).then(answer => answer.status)"
    assert await acme_page.page.evaluate(told, f"/runs/{run_id}/cancel") == 404
    assert (await penstock.runs.get(run_id)).status.label == "running"


async def test_run_graph_leads_downwards_on_a_narrow_screen(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    acme_token: str,
    penstock: Penstock,
) -> None:
    context = await browser(viewport={"width": 360, "height": 740}, color_scheme="dark")
    seen = await watched(context, console_url)
    await seen.log_in(acme_token)
    await seen.goto(f"/runs/{await start(penstock)}")
    await expect(seen.page.locator(".drawing.wide")).to_be_hidden()
    first = await seen.page.locator(".drawing.upright [data-step='0']").bounding_box()
    second = await seen.page.locator(".drawing.upright [data-step='1']").bounding_box()
    assert first is not None
    assert second is not None
    assert first["y"] + first["height"] <= second["y"]
    wide = await seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    assert await seen.serious() == []
