"""Pictures of the console's pages in docs/console/: light, dark, some on a narrow screen."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    ViewportSize,
    async_playwright,
)

from scripts.console_scene import Scene, scene

OUT: Final = Path(__file__).resolve().parent.parent / "docs" / "console"
_WIDE: Final[ViewportSize] = {"width": 1280, "height": 860}
_NARROW: Final[ViewportSize] = {"width": 390, "height": 844}
_FLAGS: Final = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-features=OverlayScrollbar"]
_ON_NARROW: Final = ("overview", "jobs", "job", "run", "settings")
#: Longer pages are cut off here, in pixels.
_TALLEST = 1500
#: What moves has come to rest, and streams have told their first, in ms.
_SETTLES_MS = 1800


def main() -> int:
    """Take the pictures that were asked for; returns 1 when a page does not answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="such as overview; all unless named")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        print("there is no Chromium here: run scripts/browser", file=sys.stderr)
        return 1
    logging.disable()  # what is down and shut here is meant to be
    options.out.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_shoot(browser, options.pages, options.out))


async def _shoot(browser: str, wanted: list[str], out: Path) -> int:
    missed = 0
    with tempfile.TemporaryDirectory(prefix="penstock-shots-") as home:
        async with scene(Path(home)) as shown, async_playwright() as playwright:
            unknown = set(wanted) - set(shown.paths)
            if unknown:
                print(f"no such page: {min(unknown)}; there are {', '.join(shown.paths)}")
                return 2
            chromium = await playwright.chromium.launch(executable_path=browser, args=_FLAGS)
            for scheme in ("light", "dark"):
                missed += await _all(chromium, shown, wanted, out, scheme)
            missed += await _all(chromium, shown, wanted, out, "light", narrow=True)
            await chromium.close()
    return int(missed > 0)


async def _all(
    chromium: Browser,
    shown: Scene,
    wanted: list[str],
    out: Path,
    scheme: Literal["light", "dark"],
    *,
    narrow: bool = False,
) -> int:
    context = await chromium.new_context(
        color_scheme=scheme,
        viewport=_NARROW if narrow else _WIDE,
        timezone_id="Europe/Paris",
        reduced_motion="reduce",
    )
    page = await context.new_page()
    names = [name for name in shown.paths if name in (wanted or shown.paths)]
    kind = "narrow" if narrow else scheme
    missed = 0
    for name in names:
        if narrow and name not in _ON_NARROW:
            continue
        if name != "login":
            await _log_in(context, page, shown)
        missed += not await _picture(
            page, shown.url + shown.paths[name], out / f"{name}-{kind}.png"
        )
    await context.close()
    return missed


async def _log_in(context: BrowserContext, page: Page, shown: Scene) -> None:
    if await context.cookies(shown.url):
        return
    await page.goto(f"{shown.url}/login")
    await page.fill("#token", shown.token)
    await page.click("button.primary")
    await page.wait_for_url(f"{shown.url}/")


async def _picture(page: Page, url: str, file: Path) -> bool:
    try:
        answer = await page.goto(url)
    except Error as error:
        print(f"{file.stem}: {error.message}", file=sys.stderr)
        return False
    if answer is None or not answer.ok:
        print(f"{file.stem}: answered {answer and answer.status}", file=sys.stderr)
        return False
    await page.wait_for_timeout(_SETTLES_MS)
    height = await page.evaluate("document.documentElement.scrollHeight")
    size = page.viewport_size or _WIDE
    clip = {
        "x": 0,
        "y": 0,
        "width": size["width"],
        "height": max(size["height"], min(height, _TALLEST)),
    }
    await page.screenshot(path=file, full_page=True, clip=clip)  # type: ignore[arg-type]
    print(file.name)
    return True


if __name__ == "__main__":
    sys.exit(main())
