"""Jobs in a browser: searching, a job's life, what failed, and other workspaces' jobs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from playwright.async_api import expect

from penstock_client import Classify, Generate, Penstock
from penstock_worker.simulator.server import Simulator
from tests.console.conftest import Watched

MODEL = "openai/gpt-4o-mini"
WorkFor = Callable[..., Awaitable[None]]


def ticket(text: str = "I want a refund", **fields: object) -> Classify:
    given = {"labels": ("refund", "praise"), "model": MODEL, "skill": "triage"}
    return Classify(workspace="acme", text=text, **(given | fields))  # type: ignore[arg-type]


async def test_jobs_are_searched_and_lead_to_their_page(
    acme_page: Watched, penstock: Penstock, simulator: Simulator, work_for: WorkFor
) -> None:
    await work_for("openai")
    done = await penstock.call(ticket(), timeout_s=20)
    await penstock.submit(Generate(workspace="acme", prompt="wait", model="anthropic/claude-x"))
    page = acme_page.page
    await page.keyboard.press("g")
    await page.keyboard.press("j")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.select_option("#state", "succeeded")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert await acme_page.serious() == []
    await page.locator("tbody a.row").click()
    await page.wait_for_url(f"{acme_page.url}/jobs/{done.job_id}")
    await expect(page.locator(".life")).to_contain_text("call 1 succeeded")
    await expect(page.locator("pre", has_text="I want a refund")).to_be_visible()
    await expect(page.get_by_text("simulated")).to_be_visible()
    assert await acme_page.serious() == []
    acme_page.check_quiet()


async def test_waiting_job_says_why_and_shows_its_end_by_itself(
    acme_page: Watched, penstock: Penstock, steward: None
) -> None:
    handle = await penstock.submit(ticket())
    await acme_page.goto(f"/jobs/{handle.job_id}")
    page = acme_page.page
    await expect(page.locator(".note").first).to_contain_text("worker")
    page.on("dialog", lambda dialog: dialog.accept())
    await penstock.cancel(handle.job_id)
    await expect(page.locator(".chip.cancelled")).to_be_visible()
    await page.get_by_role("button", name="Requeue").click()
    await expect(page.locator(".chip.queued")).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".chip.cancelled")).to_be_visible()
    acme_page.check_quiet()


async def test_failed_jobs_are_grouped_and_start_again_together(
    acme_page: Watched, penstock: Penstock
) -> None:
    handles = await penstock.submit_many([ticket(str(n)) for n in range(3)])
    await penstock.cancel_many([handle.job_id for handle in handles])
    await acme_page.goto("/failed")
    page = acme_page.page
    row = page.locator("tbody tr")
    await expect(row).to_have_text(re.compile(r"cancelled\s*3"))
    assert await acme_page.serious() == []
    await row.locator("a.row").click()
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.go_back()
    page.on("dialog", lambda dialog: dialog.accept())
    await row.get_by_role("button", name="Requeue").click()
    await expect(page.locator("#notes")).to_contain_text("3 jobs start again")
    states = {job.state.label for job in await penstock.jobs("acme")}
    assert states == {"queued"}
    acme_page.check_quiet()


async def test_another_workspace_finds_nothing(acme_page: Watched, penstock: Penstock) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    theirs = await penstock.submit(Generate(workspace="other", prompt="theirs", model=MODEL))
    for path in (f"/jobs/{theirs.job_id}", "/jobs?workspace=other", "/failed?workspace=other"):
        await acme_page.goto(path)
        await expect(acme_page.page.locator("h1")).to_have_text("Not found")
    assert "theirs" not in await acme_page.page.content()
