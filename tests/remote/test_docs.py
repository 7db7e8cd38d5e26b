"""The code of `docs/client-http.md` runs against a gateway."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

import penstock_client
from penstock_client import Penstock, Settings
from tests.gateway.serving_thread import listening
from tests.remote.conftest import WorkFor

PAGE = Path(__file__).parents[2] / "docs" / "client-http.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


async def run(code: str, names: dict[str, Any]) -> None:
    exec(f"async def snippet():\n{indent(code, '    ')}", names)
    await asyncio.wait_for(names["snippet"](), timeout=30)


async def test_snippets_of_the_page_run(
    penstock: Penstock,
    empty: Settings,
    token: str,
    work_for: WorkFor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(SNIPPETS) == 2
    await penstock.workspaces.set("acme", routing={"generate": "fireworks/deepseek-v3"})
    await work_for("fireworks")
    with listening(empty) as url:
        monkeypatch.setenv("PENSTOCK_URL", url)
        monkeypatch.setenv("PENSTOCK_TOKEN", token)
        for code in SNIPPETS:
            here = code.replace("https://penstock.example.com", url).replace("pst_…", token)
            names = {name: getattr(penstock_client, name) for name in penstock_client.__all__}
            await run(here, names)
    assert "['refund', 'praise']" in capsys.readouterr().out
