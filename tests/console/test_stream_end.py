"""What a page does when its stream ends for good."""

from __future__ import annotations

from playwright.async_api import expect

from penstock_client import Penstock
from tests.console.conftest import Watched


async def test_page_of_a_revoked_token_goes_to_the_login_by_itself(
    acme_page: Watched, penstock: Penstock
) -> None:
    await expect(acme_page.page.locator("h1")).to_have_text("acme")
    for token in await penstock.tokens.list("acme"):
        await penstock.tokens.revoke(token.token_id)
    await acme_page.page.wait_for_url(f"{acme_page.url}/login*", timeout=20_000)
