"""Each error that the gateway tells is the one that a direct connection raises."""

from __future__ import annotations

import pytest

from penstock_client.remote.problems import error_of
from penstock_gateway.problems import problem_of
from penstock_schemas.errors import (
    ConfigurationError,
    InvalidJob,
    KeyRefused,
    KeyUntested,
    PenstockError,
    Unavailable,
    UnknownBackfill,
    UnknownConfiguration,
    UnknownDelivery,
    UnknownJob,
    UnknownKey,
    UnknownModel,
    UnknownProvider,
    UnknownRun,
    UnknownSkill,
    UnknownToken,
    UnknownWorkspace,
)

URL = "https://gateway.example"
ERRORS = [
    UnknownJob("019aa0a4-0000-7000-8000-000000000000"),
    UnknownRun("019aa0a4-0000-7000-8000-000000000000"),
    UnknownBackfill("019aa0a4-0000-7000-8000-000000000000"),
    UnknownDelivery("evt_019aa0a4"),
    UnknownToken("tok-1"),
    UnknownSkill("acme", "it's a skill"),
    UnknownWorkspace("acme"),
    UnknownKey("acme", "openai"),
    UnknownModel("gpt"),
    UnknownProvider("nobody"),
    UnknownProvider("nobody", ("openai", "mistral")),
    UnknownConfiguration("acme", "slow", ("default", "fast")),
    KeyRefused("openai", "Incorrect API key: it is\ntoo short"),
    KeyUntested("openai", "no worker is there"),
    InvalidJob("prompt: is required", field="prompt"),
    InvalidJob("something is wrong"),
    ConfigurationError("time_zone: is none"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_comes_back_as_it_was(error: PenstockError) -> None:
    response = problem_of(error)
    assert response is not None
    told = error_of(response.status_code, bytes(response.body), url=URL)
    assert type(told) is type(error)
    assert str(told) == str(error)
    assert vars(told) == vars(error)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b'{"status":401,"detail":"unknown"}', ConfigurationError, "PENSTOCK_TOKEN"),
        (403, b'{"status":403,"detail":"lacks jobs:read"}', ConfigurationError, "lacks jobs:read"),
        (404, b"<html>", ConfigurationError, "PENSTOCK_URL"),
        (502, b"<html>", Unavailable, "502"),
        (503, b'{"status":503,"detail":"Redis does not answer"}', Unavailable, "Redis"),
        (413, b'{"status":413,"detail":"too large"}', InvalidJob, "too large"),
        (500, b'{"status":500,"detail":"it broke"}', PenstockError, "it broke"),
    ],
)
def test_answer_is_told(status: int, body: bytes, kind: type[Exception], words: str) -> None:
    told = error_of(status, body, url=URL)
    assert type(told) in {kind, *kind.__subclasses__()}
    assert words in str(told)
