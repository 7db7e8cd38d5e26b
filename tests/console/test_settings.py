"""The settings in a browser: keys, routing, configurations, budgets, tokens; who may see what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Locator, expect

from penstock_client import Generate, Penstock, Settings
from penstock_client.sealing import fingerprint
from penstock_worker.compose import run_worker
from penstock_worker.credentials import base_url_variable
from penstock_worker.keyring import FILE_VARIABLE, ensure_key_file
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.conftest import in_background
from tests.console.conftest import Watched, watched

OWN_KEY = "sk-own-71c0ffee55aa9d"
BAD_KEY = "sk-bad-1234567890abcdef"
#: Providers quote keys.
QUOTING = {"error": {"message": f"Incorrect API key provided: {BAD_KEY}.", "type": "auth"}}
_TABS = ("", "/routing", "/configurations", "/budgets", "/tokens")

Start = Callable[[], Awaitable[None]]


@pytest.fixture
async def start(
    empty: Settings, simulator: Simulator, steward: None, penstock: Penstock, tmp_path: Path
) -> AsyncIterator[Start]:
    """`await start()` starts a worker of OpenAI's that opens sealed keys, and waits for it."""
    file = tmp_path / "private-keys"
    ensure_key_file(file)
    async with AsyncExitStack() as running:

        async def begin() -> None:
            variables = {
                base_url_variable("openai"): simulator.base_url("openai"),
                "OPENAI_API_KEY": "sk-platform",
                FILE_VARIABLE: str(file),
            }
            worker = run_worker(
                "openai", empty, variables, concurrency=5, drain_s=5, handle_signals=False
            )
            await running.enter_async_context(in_background(worker))
            while not await penstock.keys.status():
                await penstock.workspaces.read("acme")

        yield begin


def card(seen: Watched, provider: str) -> Locator:
    return seen.page.locator(f"#provider-{provider}")


async def enter(seen: Watched, provider: str, key: str) -> None:
    """Fill in a key and save it."""
    await card(seen, provider).locator("[name=api_key]").fill(key)
    await card(seen, provider).get_by_role("button", name="Test and save").click()


async def kept_in_page(seen: Watched) -> str:
    """All that a page holds: its elements, fields, stores, addresses, and what it has told."""
    everything = """() => JSON.stringify([
        document.documentElement.outerHTML,
        [...document.querySelectorAll("input, textarea")].map((each) => each.value),
        {...localStorage}, {...sessionStorage}, history.state, document.cookie, location.href,
        performance.getEntries().map((each) => each.name),
    ])"""
    return str(await seen.page.evaluate(everything)) + "".join(seen.errors)


def logged(log: Path, key: str) -> list[str]:
    """The requests of a browser's network log that a key is in the body of.

    Fails where it is anywhere else: in an address, a header, an answer.
    """
    found: list[str] = []
    for entry in json.loads(log.read_text())["log"]["entries"]:
        request = entry["request"]
        body = request.pop("postData", None)
        if key in json.dumps(body):
            found.append(f"{request['method']} {urlsplit(request['url']).path}")
        assert key not in json.dumps(entry), request["url"]
    return found


@pytest.fixture
async def logging_page(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    acme_token: str,
    tmp_path: Path,
) -> Watched:
    """A page of somebody who sees `acme` alone, whose network is logged to `network.har`."""
    log = tmp_path / "network.har"
    context = await browser(record_har_path=log, record_har_content="embed")
    seen = await watched(context, console_url)
    await seen.log_in(acme_token)
    return seen


async def test_key_is_tried_stored_and_nowhere_afterwards(
    logging_page: Watched, penstock: Penstock, start: Start, tmp_path: Path
) -> None:
    await start()
    await logging_page.goto("/settings")
    openai = card(logging_page, "openai")
    await enter(logging_page, "openai", OWN_KEY)
    await expect(openai.locator(".outcome")).to_contain_text("The key works and is stored.")
    await expect(openai.locator(".outcome")).to_contain_text("answered")
    await expect(openai.locator(".outcome .chip")).to_have_text("simulated")
    await expect(openai.locator("header .chip")).to_have_text("Connected")
    await expect(openai).to_contain_text(fingerprint(OWN_KEY))
    assert (await penstock.keys.list("acme"))[0].works
    assert OWN_KEY not in await kept_in_page(logging_page)
    assert await logging_page.serious() == []
    await logging_page.page.reload()
    await expect(openai).to_contain_text(fingerprint(OWN_KEY))
    assert OWN_KEY not in await kept_in_page(logging_page)
    logging_page.check_quiet()
    await logging_page.page.context.close()
    assert logged(tmp_path / "network.har", OWN_KEY) == ["POST /settings/providers/openai/key"]


async def test_key_is_in_no_answer_without_scripts(
    browser: Callable[..., Awaitable[BrowserContext]],
    console_url: str,
    acme_token: str,
    start: Start,
    tmp_path: Path,
) -> None:
    await start()
    log = tmp_path / "network.har"
    context = await browser(
        java_script_enabled=False, record_har_path=log, record_har_content="embed"
    )
    plain = await watched(context, console_url)
    await plain.log_in(acme_token)
    await plain.goto("/settings")
    await enter(plain, "openai", OWN_KEY)
    await expect(card(plain, "openai")).to_contain_text(fingerprint(OWN_KEY))
    await enter(plain, "openai", f"{OWN_KEY} and blanks")
    await expect(card(plain, "openai").locator(".outcome")).to_contain_text("No key was stored")
    assert OWN_KEY not in await plain.page.content()
    await context.close()
    assert logged(log, OWN_KEY) == ["POST /settings/providers/openai/key"] * 2


async def test_key_is_in_no_field_while_it_is_tried_and_its_test_is_followed(
    acme_page: Watched, simulator: Simulator, start: Start
) -> None:
    await start()
    simulator.latency.set(latency_ms=4000, jitter_ms=0)
    await acme_page.goto("/settings")
    await enter(acme_page, "openai", OWN_KEY)
    testing = card(acme_page, "openai").locator(".testing")
    await expect(testing).to_contain_text("test call running")
    await expect(card(acme_page, "openai").locator("[name=api_key]")).to_have_value("")
    assert await acme_page.serious() == []
    simulator.latency.set(latency_ms=0, jitter_ms=0)
    await expect(card(acme_page, "openai").locator(".outcome")).to_contain_text("works")


async def test_refused_key_is_told_in_the_providers_words_and_not_stored(
    logging_page: Watched, penstock: Penstock, simulator: Simulator, start: Start, tmp_path: Path
) -> None:
    await start()
    simulator.faults.add(Fault(kind="status", status=401, provider="openai", body=QUOTING))
    await logging_page.goto("/settings")
    await enter(logging_page, "openai", BAD_KEY)
    outcome = card(logging_page, "openai").locator(".outcome.fault")
    await expect(outcome).to_contain_text("was refused and not stored")
    await expect(outcome).to_contain_text("Incorrect API key provided")
    assert await penstock.keys.list("acme") == []
    assert await logging_page.serious() == []
    assert BAD_KEY not in await kept_in_page(logging_page)
    await logging_page.page.context.close()
    assert logged(tmp_path / "network.har", BAD_KEY) == ["POST /settings/providers/openai/key"]


async def test_key_is_shown_and_hidden_by_the_keyboard(acme_page: Watched) -> None:
    await acme_page.goto("/settings")
    openai = card(acme_page, "openai")
    field = openai.locator("[name=api_key]")
    await field.fill(OWN_KEY)
    await expect(field).to_have_attribute("type", "password")
    await acme_page.page.keyboard.press("Tab")
    await acme_page.page.keyboard.press("Enter")
    await expect(field).to_have_attribute("type", "text")
    await openai.get_by_role("button", name="Show the key").click()
    await expect(field).to_have_attribute("type", "password")


async def test_key_is_removed(acme_page: Watched, penstock: Penstock, start: Start) -> None:
    await start()
    await penstock.keys.set("acme", "openai", OWN_KEY)
    await acme_page.goto("/settings")
    acme_page.page.on("dialog", lambda dialog: dialog.accept())
    await card(acme_page, "openai").get_by_role("button", name="Remove").click()
    await expect(card(acme_page, "openai").locator(".outcome")).to_contain_text("removed")
    assert await penstock.keys.list("acme") == []


async def test_card_says_wire_and_standing(acme_page: Watched) -> None:
    await acme_page.goto("/settings")
    anthropic = card(acme_page, "anthropic")
    await expect(anthropic).to_contain_text("Native API")
    await expect(anthropic.locator("header .chip")).to_have_text("Not configured")
    await expect(card(acme_page, "deepseek")).to_contain_text("OpenAI-compatible API")
    await acme_page.page.fill("[data-search]", "deep")
    await expect(anthropic).to_be_hidden()
    await expect(card(acme_page, "deepseek")).to_be_visible()


async def test_provider_is_switched_off_and_on(acme_page: Watched, penstock: Penstock) -> None:
    await acme_page.goto("/settings")
    await card(acme_page, "openai").get_by_role("button", name="Switch OpenAI off").click()
    await expect(card(acme_page, "openai").locator(".chip.held")).to_have_text("Switched off")
    assert (await penstock.workspaces.read("acme")).disabled == {"openai"}
    await card(acme_page, "openai").get_by_role("button", name="Switch OpenAI on").click()
    await expect(card(acme_page, "openai").locator(".chip.held")).to_have_count(0)
    assert (await penstock.workspaces.read("acme")).disabled == frozenset()


async def test_routing_is_previewed_before_it_is_saved(
    acme_page: Watched, penstock: Penstock
) -> None:
    await acme_page.goto("/settings/routing")
    reason = acme_page.page.get_by_role("region", name="reason")
    await expect(reason.locator(".preview")).to_contain_text("anthropic/claude")
    await reason.locator("[name=models]").press_sequentially("openai/gpt-4o")
    await expect(reason.locator(".preview tbody tr").first).to_contain_text("openai/gpt-4o")
    await expect(reason.locator(".preview")).to_contain_text("routed by the workspace")
    before = (await penstock.workspaces.read("acme")).routing["reason"]
    assert before != ("openai/gpt-4o",)
    await reason.get_by_role("button", name="Save").click()
    await expect(reason.locator("[role=status]")).to_contain_text("Saved")
    assert (await penstock.workspaces.read("acme")).routing["reason"] == ("openai/gpt-4o",)
    assert await acme_page.serious() == []
    await reason.get_by_role("button", name="by default").click()
    await expect(reason.locator(".preview tbody tr").first).to_contain_text("anthropic/claude")
    assert "reason" not in (await penstock.workspaces.read("acme")).routing
    acme_page.check_quiet()


async def test_routing_preview_names_an_unknown_model(acme_page: Watched) -> None:
    await acme_page.goto("/settings/routing")
    generate = acme_page.page.get_by_role("region", name="generate")
    await generate.locator("[name=models]").press_sequentially("no-such-thing")
    await expect(generate.locator(".preview .fault")).to_contain_text("names no provider")
    await generate.get_by_role("button", name="Save").click()
    await expect(acme_page.page.locator("#notes")).to_contain_text("names no provider")


async def test_configuration_is_made_changed_preferred_and_removed(
    acme_page: Watched, penstock: Penstock
) -> None:
    page = acme_page.page
    page.on("dialog", lambda dialog: dialog.accept())
    await acme_page.goto("/settings/configurations")
    await page.get_by_text("Make another configuration").click()
    await page.fill("#new-name", "nightly")
    await page.fill("#new-daily_usd", "5")
    await page.fill("#new-task_routing", "triage = openai/gpt-4o-mini")
    await page.click("#new-save")
    nightly = page.get_by_role("region", name="nightly")
    await expect(nightly).to_contain_text("Saved")
    found = (await penstock.workspaces.read("acme")).configuration("nightly")
    assert found.daily_usd == Decimal(5)
    assert found.task_routing == {"triage": "openai/gpt-4o-mini"}
    await nightly.locator("[name=daily_usd]").fill("")
    await nightly.locator("[name=task_routing]").fill("")
    await nightly.locator("[name=own_keys]").uncheck()
    await nightly.get_by_role("button", name="Save").click()
    await expect(nightly).not_to_contain_text("of $5")
    found = (await penstock.workspaces.read("acme")).configuration("nightly")
    assert (found.daily_usd, found.task_routing, found.own_keys) == (None, {}, False)
    assert await acme_page.serious() == []
    await nightly.get_by_role("button", name="the default one").click()
    await expect(nightly.locator(".chip")).to_have_text("the default one")
    default = page.get_by_role("region", name="default", exact=True)
    await default.get_by_role("button", name="Remove").click()
    await expect(default).to_have_count(0)
    assert list((await penstock.workspaces.read("acme")).configurations) == ["nightly"]
    acme_page.check_quiet()


async def test_budget_shows_what_is_spent_as_the_api_does(
    acme_page: Watched, penstock: Penstock, start: Start
) -> None:
    await start()
    await penstock.workspaces.set_configuration("acme", "default", daily_usd=Decimal(5))
    await penstock.call(
        Generate(workspace="acme", prompt="a word", model="openai/gpt-4o-mini"), timeout_s=20
    )
    await acme_page.goto("/settings/budgets")
    page = acme_page.page
    await page.fill("#monthly_tokens", "2,000,000")
    await page.select_option("#budget_mode", "hard")
    await page.fill("#time_zone", "Europe/Berlin")
    await page.click("#save-tokens")
    await expect(page.locator("#save-tokens + [role=status]")).to_contain_text("Saved")
    month = await penstock.usage.month("acme")
    assert (month.token_budget, month.budget_mode) == (2_000_000, "hard")
    assert month.tokens_used > 0
    tokens = page.locator("section", has_text="Tokens a month").locator(".budget").first
    await expect(tokens).to_contain_text(f"{month.tokens_used:,} spent")
    await expect(tokens).to_contain_text(f"{month.tokens_remaining:,} left of 2,000,000")
    await expect(page.get_by_role("region", name="Money")).to_contain_text("left of $5.00")
    await page.fill("#retention_days", "30")
    await page.click("#save-retention")
    await expect(page.locator("#save-retention + [role=status]")).to_contain_text("Saved")
    assert (await penstock.workspaces.read("acme")).retention_days == 30
    assert await acme_page.serious() == []
    acme_page.check_quiet()


async def test_mistake_in_a_budget_is_told_and_changes_nothing(
    acme_page: Watched, penstock: Penstock
) -> None:
    await acme_page.goto("/settings/budgets")
    await acme_page.page.fill("#time_zone", "Mars/Olympus")
    await acme_page.page.click("#save-tokens")
    await expect(acme_page.page.locator("#notes")).to_contain_text("time_zone")
    assert (await penstock.workspaces.read("acme")).time_zone == "UTC"


async def test_token_is_shown_once_and_revoked(admin_page: Watched, penstock: Penstock) -> None:
    page = admin_page.page
    page.on("dialog", lambda dialog: dialog.accept())
    await admin_page.goto("/settings/tokens?workspace=acme")
    await expect(page.locator(".empty")).to_contain_text("No tokens of acme")
    await page.fill("#token-name", "crawler")
    await page.get_by_label("config:read").check()
    await page.get_by_role("button", name="Make token").click()
    secret = await page.locator("#made-token").inner_text()
    known = await penstock.tokens.check(secret)
    assert known is not None
    assert (known.workspace, known.scopes) == ("acme", {"jobs:read", "jobs:write", "config:read"})
    assert await admin_page.serious() == []
    await page.get_by_role("button", name="Done").click()
    assert secret not in await page.content()
    await page.reload()
    assert secret not in await page.content()
    await page.get_by_role("button", name="Revoke crawler").click()
    await expect(page.get_by_text("1 that has ended")).to_be_visible()
    assert await penstock.tokens.check(secret) is None
    admin_page.check_quiet()


async def test_workspace_is_told_who_makes_tokens(acme_page: Watched) -> None:
    await acme_page.goto("/settings/tokens")
    await expect(acme_page.page.locator(".empty")).to_contain_text("made by administrators")


async def test_settings_of_another_workspace_are_not_found(
    acme_page: Watched, penstock: Penstock
) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    for tab in _TABS:
        answer = await acme_page.page.goto(f"{acme_page.url}/settings{tab}?workspace=other")
        assert answer is not None
        assert answer.status == 404, tab


async def test_reader_sees_settings_and_no_buttons(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str, penstock: Penstock
) -> None:
    token = await penstock.tokens.create("reader", workspace="acme", scopes=["config:read"])
    seen = await watched(await browser(), console_url)
    await seen.page.goto(f"{console_url}/login")
    await seen.page.fill("#token", token.secret)
    await seen.page.click("button.primary")
    for tab in _TABS:
        await seen.goto(f"/settings{tab}")
        await expect(seen.page.locator("main form[method=post] button")).to_have_count(0)


async def test_settings_fit_a_narrow_dark_screen(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str, admin_token: str
) -> None:
    context = await browser(viewport={"width": 360, "height": 740}, color_scheme="dark")
    narrow = await watched(context, console_url)
    await narrow.log_in(admin_token)
    for tab in _TABS:
        await narrow.goto(f"/settings{tab}?workspace=acme")
        wide = await narrow.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, tab
        assert await narrow.serious() == [], tab
