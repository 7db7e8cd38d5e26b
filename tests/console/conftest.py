"""A gateway on a port of this machine, and a real browser that looks at it.

Without a Chromium (`scripts/browser` sees to one) tests that need it are skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.async_playwright import Axe
from axe_playwright_python.base import AxeResults
from playwright.async_api import BrowserContext, Page, Request, async_playwright

from penstock_client import Penstock, Settings
from tests.gateway.serving_thread import listening

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: What axe calls a violation that keeps people from using a page.
_SERIOUS = {"serious", "critical"}


@dataclass(slots=True)
class Watched:
    """A page and what it did: console errors, requests, and answers of 4xx and 5xx."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def log_in(self, token: str) -> None:
        """Log in, and arrive at the overview."""
        await self.page.goto(f"{self.url}/login")
        await self.page.fill("#token", token)
        await self.page.click("button.primary")
        await self.page.wait_for_url(f"{self.url}/")

    async def goto(self, path: str) -> None:
        """Open a page."""
        await self.page.goto(self.url + path)

    async def serious(self) -> list[str]:
        """What axe finds on the page that is serious, in words."""
        found: AxeResults = await Axe().run(self.page)
        violations = found.response["violations"]
        return [
            f"{each['id']}: {each['help']} {[node['target'] for node in each['nodes'][:4]]}"
            for each in violations
            if each["impact"] in _SERIOUS
        ]

    def check_quiet(self) -> None:
        """Nothing was asked of another host, and nothing went wrong in the browser."""
        assert {each.url for each in self.requests if not each.url.startswith(self.url)} == set()
        assert self.errors == []


@pytest.fixture
async def admin_token(penstock: Penstock) -> str:
    """A token of all workspaces."""
    return (await penstock.tokens.create("console")).secret


@pytest.fixture
async def acme_token(penstock: Penstock) -> str:
    """A token of `acme`."""
    return (await penstock.tokens.create("acme's console", workspace="acme")).secret


@pytest.fixture
def console_url(penstock: Penstock, empty: Settings) -> Iterator[str]:
    """A gateway that listens."""
    with listening(empty) as url:
        yield url


@pytest.fixture
async def browser() -> AsyncIterator[Callable[..., Awaitable[BrowserContext]]]:
    """Contexts of one Chromium: `await browser(color_scheme="dark")`."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; scripts/browser installs one")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )

        async def context(**options: object) -> BrowserContext:
            given = {"viewport": {"width": 1280, "height": 860}, "timezone_id": "Europe/Paris"}
            return await chromium.new_context(**(given | options))  # type: ignore[arg-type]

        yield context
        await chromium.close()


async def watched(context: BrowserContext, url: str) -> Watched:
    """A new page that is watched."""
    seen = Watched(await context.new_page(), url)
    seen.page.on(
        "console",
        lambda message: seen.errors.append(message.text) if message.type == "error" else None,
    )
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    # What playwright calls must be able to bear an attribute: a bound method of a list is not.
    seen.page.on("request", lambda request: seen.requests.append(request))  # noqa: PLW0108
    seen.page.on(
        "response",
        lambda answer: (
            seen.refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    seen.page.set_default_timeout(10_000)
    return seen


@pytest.fixture
async def admin_page(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str, admin_token: str
) -> Watched:
    """A page of somebody who sees all workspaces."""
    page = await watched(await browser(), console_url)
    await page.log_in(admin_token)
    return page


@pytest.fixture
async def acme_page(
    browser: Callable[..., Awaitable[BrowserContext]], console_url: str, acme_token: str
) -> Watched:
    """A page of somebody who sees `acme` alone."""
    page = await watched(await browser(), console_url)
    await page.log_in(acme_token)
    return page
