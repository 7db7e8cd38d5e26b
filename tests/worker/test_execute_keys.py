"""Which key an attempt is sent with, and what becomes of it when that key cannot be used here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock_client.sealing import encode_key, seal
from penstock_schemas.catalog import catalog
from penstock_schemas.jobs import Envelope
from penstock_schemas.keys import KEY_CHECK
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_worker.attempts import Attempt
from penstock_worker.credentials import Access, Accesses
from penstock_worker.keyring import Keyring, PrivateKey
from tests.worker.test_execute import FakeSender, attempt, chat, executor

PAIR, OTHER = PrivateKey.new(), PrivateKey.new()
OPENAI = catalog().provider("openai")
Make = Callable[[], Attempt]


def run_with(sender: FakeSender, platform_key: str | None = "sk-platform") -> Any:
    """An executor that holds a private key."""
    made = executor(sender)
    access = Access(OPENAI.base_url, platform_key)
    made._accesses = Accesses(OPENAI, access, Keyring([PAIR]))
    return made.run


def sealed(pair: PrivateKey = PAIR) -> bytes:
    return seal("sk-own", pair.public, workspace="acme", provider="openai")


def trial(pair: PrivateKey = PAIR, **changes: Any) -> Attempt:
    """An attempt that tests a key."""
    plain = attempt(configuration=KEY_CHECK, credential=KEY_CHECK, **changes)
    assert plain.body is not None
    envelope = Envelope.decode(plain.body).model_copy(
        update={"sealed_key": encode_key(sealed(pair))}
    )
    return replace(plain, body=envelope.encode())


@pytest.mark.parametrize(
    ("work", "key"),
    [
        (attempt, "sk-platform"),
        (lambda: attempt(sealed_key=sealed()), "sk-own"),
        (trial, "sk-own"),
    ],
    ids=["platform", "own", "tested"],
)
async def test_call_is_sent_with_its_key(work: Make, key: str) -> None:
    sender = FakeSender(chat())
    await run_with(sender)(work())
    assert sender.sent[0].headers["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    ("work", "platform_key"),
    [
        (lambda: attempt(sealed_key=sealed(OTHER)), "sk-platform"),
        (lambda: trial(OTHER, deadline=datetime.now(UTC) + timedelta(minutes=1)), "sk-platform"),
        (attempt, None),
    ],
    ids=["own", "tested", "platform"],
)
async def test_job_whose_key_cannot_be_used_here_goes_back_unsent(
    work: Make, platform_key: str | None
) -> None:
    sender = FakeSender(chat())
    settlement = await run_with(sender, platform_key)(work())
    assert (settlement.attempt_state, settlement.state) == (
        AttemptState.RETURNED,
        JobState.DEFERRED,
    )
    assert settlement.wait_ms == 5000 and not settlement.charge and not sender.sent


async def test_warning_names_the_sealing_key_once(caplog: pytest.LogCaptureFixture) -> None:
    run = run_with(FakeSender(chat()))
    for _ in range(3):
        await run(attempt(sealed_key=sealed(OTHER)))
    (record,) = caplog.records
    assert vars(record)["sealing_key"] == OTHER.id


async def test_test_that_was_started_again_without_a_deadline_does_not_wait_for_ever() -> None:
    settlement = await run_with(FakeSender(chat()))(trial(OTHER))
    assert (settlement.state, settlement.error_kind) == (JobState.FAILED, ErrorKind.MISSING_KEY)


async def test_configuration_of_tests_is_no_way_around_budgets() -> None:
    sender = FakeSender(chat())
    settlement = await run_with(sender)(attempt(configuration=KEY_CHECK))
    assert settlement.state is JobState.FAILED and not sender.sent
