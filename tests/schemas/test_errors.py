"""The error tree: one line each, what is wrong, what to do, and the exit code."""

from __future__ import annotations

import pytest

from penstock_schemas.errors import (
    ConfigurationError,
    InvalidJob,
    JobFailed,
    MissingKey,
    PenstockError,
    ProviderError,
    ResultTimeout,
    Unavailable,
    UnknownJob,
    UnknownModel,
    UnknownProvider,
    UnknownWorkspace,
)
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, JobState


def failed(state: JobState = JobState.FAILED, error: ErrorInfo | None = None) -> JobFailed:
    return JobFailed(
        Result.model_validate(
            {"job_id": "j-1", "workspace": "acme", "status": state, "error": error}
        )
    )


ERRORS: list[tuple[PenstockError, int, tuple[str, ...]]] = [
    (InvalidJob("labels: is required", field="labels"), 2, ("labels",)),
    (UnknownWorkspace("acme"), 2, ("'acme'", "penstock workspace create acme")),
    (UnknownProvider("opnai", ("openai", "groq")), 2, ("'opnai'", "openai, groq")),
    (UnknownModel("gtp"), 2, ("'gtp'", "provider/model")),
    (MissingKey("google", ("A_KEY", "B_KEY")), 2, ("google", "A_KEY or B_KEY")),
    (Unavailable("Redis", "refused", variable="X_URL"), 1, ("Redis", "X_URL", "refused")),
    (UnknownJob("j-1"), 1, ("j-1",)),
    (ResultTimeout("j-1", 0.5), 1, ("j-1", "0.5 s", "penstock explain j-1")),
    (failed(), 1, ("j-1", "failed")),
    (ProviderError(ErrorKind.REFUSAL, "no", provider="openai"), 1, ("no",)),
]


@pytest.mark.parametrize(("error", "exit_code", "told"), ERRORS, ids=lambda x: type(x).__name__)
def test_error_is_one_line_that_names_what_matters(
    error: PenstockError, exit_code: int, told: tuple[str, ...]
) -> None:
    assert "\n" not in str(error)
    assert all(part in str(error) for part in told)
    assert error.exit_code == exit_code


@pytest.mark.parametrize("kind", [UnknownWorkspace, UnknownProvider, UnknownModel, MissingKey])
def test_errors_of_configuration_are_caught_as_such(kind: type[Exception]) -> None:
    assert issubclass(kind, ConfigurationError)


def test_every_error_is_a_penstock_error() -> None:
    assert all(isinstance(error, PenstockError) for error, *_ in ERRORS)


def test_job_failed_gives_the_providers_reason() -> None:
    info = ErrorInfo(kind=ErrorKind.CONTENT_FILTER, message="blocked by policy")
    error = failed(error=info)
    assert str(error) == "job j-1 failed: blocked by policy"
    assert error.result.error == info


def test_job_failed_without_a_reason_gives_the_state() -> None:
    assert str(failed(JobState.CANCELLED)) == "job j-1 cancelled: cancelled"


def test_missing_key_without_variables_still_says_what_is_missing() -> None:
    assert (
        str(MissingKey("mine", ()))
        == "provider mine has no key: set a key for mine for its workers"
    )
