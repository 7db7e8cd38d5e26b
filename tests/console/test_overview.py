"""The overview in a browser: lanes that move by themselves, gates, and who sees what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import BrowserContext, expect

from penstock_client import Generate, Penstock
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.console.conftest import Watched

MODEL = "openai/gpt-4o-mini"
WorkFor = Callable[..., Awaitable[None]]


def letters(count: int, workspace: str = "acme") -> list[Generate]:
    return [Generate(workspace=workspace, prompt=f"Letter {n}", model=MODEL) for n in range(count)]


async def test_empty_overview_says_what_to_do(admin_page: Watched) -> None:
    await expect(admin_page.page.get_by_text("Nothing is at work yet")).to_be_visible()
    assert await admin_page.serious() == []
    admin_page.check_quiet()


async def test_lane_follows_the_work_without_a_reload(
    admin_page: Watched, penstock: Penstock, simulator: Simulator, work_for: WorkFor
) -> None:
    simulator.latency.set(latency_ms=60_000, jitter_ms=0)
    await work_for("openai", concurrency=5)
    await penstock.submit_many(letters(30))
    lane = admin_page.page.locator("#lane-openai")
    await expect(lane).to_contain_text("5 in flight")
    await expect(lane).to_contain_text("25 queued")
    await expect(lane).to_contain_text("1 worker")
    assert await admin_page.serious() == []
    simulator.latency.set(latency_ms=0, jitter_ms=0)
    await penstock.cancel_many([job.job_id for job in await penstock.jobs("acme", limit=30)])
    await expect(lane).to_contain_text("0 queued")
    loads = [each for each in admin_page.requests if each.resource_type == "document"]
    assert [each.method for each in loads] == ["GET", "POST", "GET"]  # the login, and never again
    admin_page.check_quiet()


async def test_shut_gate_is_shown_with_its_reason_and_checked_on_demand(
    admin_page: Watched, penstock: Penstock, simulator: Simulator, work_for: WorkFor
) -> None:
    simulator.faults.add(Fault(kind="status", status=401, provider="openai"))
    await work_for("openai", concurrency=5)
    await penstock.submit_many(letters(3))
    lane = admin_page.page.locator("#lane-openai")
    await expect(lane).to_contain_text("key refused")
    await lane.get_by_role("button", name="Check now").click()
    await expect(admin_page.page.locator("#notes")).to_contain_text("the next job")


async def test_workspace_sees_its_own_work_alone(acme_page: Watched, penstock: Penstock) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    await penstock.submit_many(letters(2))
    await penstock.submit_many(letters(7, "other"))
    await expect(acme_page.page.locator("#sum-queued")).to_have_text("2")
    await expect(acme_page.page.locator("h1")).to_have_text("acme")


async def test_overview_fits_a_narrow_dark_screen(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    admin_token: str,
    penstock: Penstock,
) -> None:
    from tests.console.conftest import watched

    await penstock.submit_many(letters(2))
    context = await browser(viewport={"width": 360, "height": 740}, color_scheme="dark")
    narrow = await watched(context, console_url)
    await narrow.log_in(admin_token)
    await expect(narrow.page.locator("#lane-openai")).to_contain_text("2 queued")
    wide = await narrow.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    assert await narrow.serious() == []
