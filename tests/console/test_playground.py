"""The playground in a browser: ask, read along, see the route, the figures and the mistakes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import BrowserContext, expect

from penstock_client import Generate, Penstock
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.console.conftest import Watched, watched

MODEL = "openai/gpt-4o-mini"
WorkFor = Callable[..., Awaitable[None]]


async def ask(seen: Watched, text: str, *, model: str = MODEL) -> None:
    """Fill in what to ask, and send it."""
    await seen.page.fill("#text", text)
    await seen.page.fill("#model", model)
    await seen.page.click("#send")


async def ended_job(seen: Watched) -> str:
    """The ID of the job whose answer is there."""
    await expect(seen.page.locator(".standing", has_text="answered by")).to_be_visible()
    return seen.page.url.rpartition("/")[2]


async def test_playground_gives_an_answer_with_route_and_figures(
    acme_page: Watched, penstock: Penstock, work_for: WorkFor
) -> None:
    await work_for("openai")
    await acme_page.goto("/playground")
    await ask(acme_page, "Tell me of rivers.")
    result = await penstock.result(await ended_job(acme_page), timeout_s=10)
    trial = acme_page.page.locator("#trial")
    await expect(trial.locator(".answer")).to_have_text(result.text or "")
    await expect(trial.locator(".chip.simulated")).to_be_visible()
    figures = trial.locator(".figures dd")
    await expect(figures.nth(0)).to_have_text(f"{result.usage.input_tokens:,}")
    await expect(figures.nth(1)).to_have_text(f"{result.usage.output_tokens:,}")
    assert result.cost_usd is not None
    shown = float((await figures.nth(2).inner_text()).removeprefix("$"))
    assert shown == pytest.approx(float(result.cost_usd), rel=0.05)
    await expect(trial.locator(".routes .answered")).to_contain_text(MODEL)
    await expect(trial.locator(".routes .answered")).to_contain_text("pinned by the job")
    await expect(trial.get_by_role("link", name="Job")).to_have_attribute(
        "href", f"/jobs/{result.job_id}"
    )
    assert await acme_page.serious() == []
    acme_page.check_quiet()


async def test_playground_shows_an_answer_while_it_is_written(
    acme_page: Watched, simulator: Simulator, work_for: WorkFor
) -> None:
    simulator.faults.add(Fault(kind="slow", delay_s=3))
    await work_for("openai")
    await acme_page.goto("/playground")
    await ask(acme_page, "Tell me of rivers, and of lakes, and of the sea they all lead to.")
    await expect(acme_page.page.locator("#trial[data-events] [data-text]")).to_contain_text("In")
    await expect(acme_page.page.locator("#trial-state")).to_have_text("running")
    await ended_job(acme_page)
    acme_page.check_quiet()


async def test_playground_says_why_a_job_waits_and_goes_on_by_itself(
    acme_page: Watched, work_for: WorkFor
) -> None:
    await acme_page.goto("/playground")
    await ask(acme_page, "Tell me of rivers.")
    standing = acme_page.page.locator(".standing")
    await expect(standing).to_contain_text("No worker of openai is running")
    assert await acme_page.serious() == []
    await work_for("openai")
    await ended_job(acme_page)


async def test_playground_answer_is_there_again_after_a_reload(
    acme_page: Watched, work_for: WorkFor
) -> None:
    await work_for("openai")
    await acme_page.goto("/playground")
    await ask(acme_page, "Tell me of rivers.")
    await ended_job(acme_page)
    told = await acme_page.page.locator(".answer").inner_text()
    await acme_page.page.reload()
    await expect(acme_page.page.locator(".answer")).to_have_text(told)
    await expect(acme_page.page.locator("#text")).to_have_value("Tell me of rivers.")


async def test_playground_cancels_a_job(acme_page: Watched, penstock: Penstock) -> None:
    await acme_page.goto("/playground")
    await ask(acme_page, "Tell me of rivers.")
    await acme_page.page.get_by_role("button", name="Cancel").click()
    await expect(acme_page.page.locator("#trial-state")).to_have_text("cancelled")
    result = await penstock.result(acme_page.page.url.rpartition("/")[2], timeout_s=20)
    assert result.status.label == "cancelled"


async def test_playground_says_what_is_wrong_at_its_field(acme_page: Watched) -> None:
    await acme_page.goto("/playground?kind=classify&text=hot")
    await acme_page.page.click("#send")
    labels = acme_page.page.locator("#labels")
    await expect(labels).to_have_attribute("aria-invalid", "true")
    await expect(acme_page.page.locator("#wrong-labels")).to_contain_text("Write the labels")
    assert await acme_page.serious() == []
    await labels.fill("warm")
    await expect(acme_page.page.locator("#wrong-labels")).to_have_count(0)


async def test_playground_previews_the_route_of_what_is_filled_in(acme_page: Watched) -> None:
    await acme_page.goto("/playground")
    await acme_page.page.fill("#text", "Tell me of rivers.")
    await acme_page.page.select_option("#strategy", "cost")
    route = acme_page.page.locator("#route")
    await expect(route).to_contain_text("by strategy cost")
    await expect(route.locator("ol li").first).to_contain_text("the best by cost")
    await acme_page.page.fill("#model", "nobody")
    await expect(route).to_contain_text("names no provider")


async def test_playground_shows_fields_of_the_kind_alone(acme_page: Watched) -> None:
    await acme_page.goto("/playground")
    page = acme_page.page
    await expect(page.locator("#labels")).to_be_hidden()
    await page.get_by_label("Classify").check(force=True)
    await expect(page.locator("#labels")).to_be_visible()
    await expect(page.locator("#schema")).to_be_hidden()


async def test_playground_refuses_jobs_of_other_workspaces(
    acme_page: Watched, penstock: Penstock
) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    theirs = await penstock.submit(Generate(workspace="other", prompt="secret", model=MODEL))
    for path in ("", "/answer", "/why", "/events"):
        await acme_page.goto(f"/playground/{theirs.job_id}{path}")
        assert "secret" not in await acme_page.page.content()
    assert len([each for each in acme_page.refused if each.startswith("404")]) == 4
    await acme_page.goto("/playground")
    await acme_page.page.evaluate("document.querySelector('#ask [name=workspace]').value = 'other'")
    await ask(acme_page, "in theirs")
    await expect(acme_page.page.locator("#notes .note")).to_contain_text("does not exist")
    assert [job.job_id for job in await penstock.jobs("other")] == [theirs.job_id]


async def test_playground_fits_a_narrow_dark_screen(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    acme_token: str,
    work_for: WorkFor,
) -> None:
    await work_for("openai")
    context = await browser(viewport={"width": 360, "height": 740}, color_scheme="dark")
    seen = await watched(context, console_url)
    await seen.log_in(acme_token)
    await seen.goto("/playground")
    await ask(seen, "Tell me of rivers.")
    await ended_job(seen)
    wide = await seen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    assert await seen.serious() == []


async def test_playground_asks_nothing_for_a_token_that_only_reads(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str, penstock: Penstock
) -> None:
    token = await penstock.tokens.create("reader", workspace="acme", scopes=["jobs:read"])
    seen = await watched(await browser(), console_url)
    await seen.log_in(token.secret)
    await seen.goto("/playground")
    await expect(seen.page.locator("#send")).to_be_disabled()
    await seen.page.evaluate("document.querySelector('#send').disabled = false")
    await ask(seen, "Tell me of rivers.")
    await expect(seen.page.locator("#notes .note")).to_contain_text("jobs:write")
    assert await penstock.jobs("acme") == []
