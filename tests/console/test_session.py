"""Logging in and out: where the token is, and what other sites and other workspaces get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from playwright.async_api import BrowserContext, expect

from penstock_client import Penstock
from penstock_gateway.console.rendering import POLICY
from penstock_gateway.console.session import COOKIE
from tests.console.conftest import Watched, watched

HERE = {"sec-fetch-site": "same-origin"}


def session(token: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={token}"}


@pytest.fixture
async def http(console_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=console_url) as client:
        yield client


async def test_pages_lead_to_the_login_and_back(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str, acme_token: str
) -> None:
    page = await watched(await browser(), console_url)
    await page.goto("/jobs?state=failed")
    assert page.page.url == f"{console_url}/login?next=/jobs%3Fstate%3Dfailed"
    assert await page.serious() == []
    await page.page.fill("#token", acme_token)
    await page.page.keyboard.press("Enter")
    await page.page.wait_for_url(f"{console_url}/jobs?state=failed")
    page.check_quiet()


async def test_token_is_nowhere_but_in_a_cookie_that_scripts_cannot_read(
    acme_page: Watched, acme_token: str
) -> None:
    secret = acme_token.rpartition("_")[2]
    page = acme_page.page
    assert secret not in await page.content()
    assert secret not in await page.evaluate("document.cookie + JSON.stringify(localStorage)")
    told = [each.url for each in acme_page.requests if secret in each.url]
    sent = [each.url for each in acme_page.requests if secret in (each.post_data or "")]
    assert (told, sent) == ([], [f"{acme_page.url}/login"])
    (cookie,) = [each for each in await page.context.cookies() if each["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


async def test_logout_ends_the_session(acme_page: Watched) -> None:
    await acme_page.page.get_by_role("button", name="Log out").click()
    await acme_page.goto("/")
    assert acme_page.page.url.endswith("/login")


async def test_wrong_token_is_refused(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str
) -> None:
    page = await watched(await browser(), console_url)
    await page.goto("/login")
    await page.page.fill("#token", "pst_0000000000000000_" + "x" * 43)
    await page.page.click("button.primary")
    await expect(page.page.locator("#error")).to_contain_text("unknown, expired or revoked")


async def test_revoked_token_ends_its_sessions(
    console_url: str, http: httpx.AsyncClient, penstock: Penstock
) -> None:
    token = await penstock.tokens.create("short", workspace="acme")
    await penstock.tokens.revoke(token.info.token_id)
    answer = await http.get("/jobs", headers=session(token.secret))
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/jobs")


@pytest.mark.parametrize(
    "headers",
    [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}],
)
async def test_other_sites_change_nothing(
    http: httpx.AsyncClient, acme_token: str, headers: dict[str, str]
) -> None:
    answer = await http.post("/logout", headers={**session(acme_token), **headers})
    assert answer.status_code == 403
    answer = await http.post("/login", data={"token": acme_token}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("following", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_login_leads_to_no_other_site(
    http: httpx.AsyncClient, acme_token: str, following: str
) -> None:
    form = {"token": acme_token, "next": following}
    answer = await http.post("/login", data=form, headers=HERE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_every_page_has_the_policy_and_errors_are_pages(
    http: httpx.AsyncClient, acme_token: str
) -> None:
    for path, status in (("/", 200), ("/jobs", 200), ("/jobs/nonsense", 404)):
        answer = await http.get(path, headers=session(acme_token))
        assert (answer.status_code, answer.headers["content-security-policy"]) == (status, POLICY)
        assert answer.headers["content-type"].startswith("text/html")
