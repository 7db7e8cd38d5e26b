"""Requests by the OpenAPI document, and some that are not: none may break anything."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from penstock_client import Penstock, Settings
from penstock_gateway.app import create_app
from tests.gateway.serving_thread import listening

#: Requests of each operation, and seconds after which each is asked just once more.
EXAMPLES = 12
MOST_S = 50


@pytest.fixture
async def address(
    empty: Settings, penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> tuple[Settings, str]:
    """Settings of a stack with a workspace, and a token of an administrator."""

    async def at_once(*_: object, **__: object) -> None:
        return None

    for module in ("jobs", "job"):
        monkeypatch.setattr(f"penstock_gateway.routes.{module}.body_within", at_once)
    return empty, (await penstock.tokens.create("admin")).secret


def operations() -> Iterator[object]:
    """Every operation of the document."""
    schema = schemathesis.openapi.from_dict(create_app().openapi())
    for result in schema.get_all_operations():
        yield result.ok()


async def test_no_request_is_answered_by_500(
    address: tuple[Settings, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    settings_of_stack, token = address
    with listening(settings_of_stack) as url:
        asked, failed = await asyncio.to_thread(try_all, url, token)
    assert failed == []
    assert set(asked) == {operation.label for operation in operations()}
    assert asked.total() > EXAMPLES * 20


def try_all(url: str, token: str) -> tuple[Counter[str], list[str]]:
    """Ask everything in many ways; gives how often each, and what was answered by 5xx."""
    asked, failed = Counter[str](), list[str]()
    until = time.monotonic() + MOST_S
    headers = {"Authorization": f"Bearer {token}"}

    def try_one(operation) -> None:
        strategies = [
            operation.as_strategy(generation_mode=mode)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        ]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(strategies))
        def ask(case) -> None:
            if time.monotonic() > until and asked[operation.label]:
                return
            answer = case.call(base_url=url, headers=headers, timeout=20)
            asked[operation.label] += 1
            if answer.status_code == 500 or answer.status_code > 503:
                failed.append(f"{operation.label}: {answer.status_code} {case.as_curl_command()}")

        ask()

    for operation in operations():
        try_one(operation)
    return asked, failed
