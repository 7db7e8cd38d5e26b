"""A simulator of its own for each test, and a recording of what the SDK under test received.

The SDKs are no dependency of Penstock: without any of them nothing here is collected, and
`scripts/test-sdks` makes the environment that has them all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sdks.recording import Recording

_SDKS = ("openai", "anthropic", "mistralai")
collect_ignore_glob = [] if any(find_spec(name) for name in _SDKS) else ["test_*.py"]


@pytest.fixture
async def recording() -> AsyncIterator[Recording]:
    from tests.sdks.recording import Recording

    recording = Recording()
    yield recording
    await recording.aclose()
