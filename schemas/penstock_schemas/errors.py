"""The error tree. Each error is one line that names what is wrong and says what to do next.

PenstockError
├── InvalidJob                 a job, file or option that cannot be accepted   (exit code 2)
│   └── InvalidId              what is given as an ID is none
├── ConfigurationError         a setting that is missing or wrong              (exit code 2)
│   ├── UnknownWorkspace
│   ├── UnknownConfiguration
│   ├── UnknownProvider
│   ├── UnknownModel
│   ├── MissingKey
│   └── UnknownKey             a workspace has no key of its own there
├── KeyRefused                 a provider refused a workspace's key            (exit code 1)
├── KeyUntested                whether a key works could not be found out      (exit code 1)
├── Unavailable                Redis or Postgres does not answer               (exit code 1)
├── UnknownJob                 no job has this ID                              (exit code 1)
├── UnknownToken               no API token has this ID                        (exit code 1)
├── UnknownRun                 no run has this ID                              (exit code 1)
├── UnknownBackfill            no backfill has this ID                         (exit code 1)
├── UnknownSkill               a workspace has no skill of this name           (exit code 1)
├── UnknownDelivery            no delivery of a webhook has this ID            (exit code 1)
├── WebhookRefused             what a receiver got is none of Penstock's       (exit code 1)
├── ResultTimeout              the job is still running; ask again             (exit code 1)
│   └── RunTimeout             the run is
├── JobFailed                  the job ended without a result                  (exit code 1)
├── RunFailed                  the run failed or was cancelled                 (exit code 1)
└── ProviderError              one attempt failed at a provider
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_schemas.results import Result
    from penstock_schemas.runs import RunResult
    from penstock_schemas.status import ErrorKind


class PenstockError(Exception):
    """The root of everything that Penstock raises on purpose."""

    #: The exit code of a command that ends with this error.
    exit_code = 1


class InvalidJob(PenstockError):
    """A job, input file or option that cannot be accepted; names the field, line or option."""

    exit_code = 2

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidId(InvalidJob, ValueError):
    """What is given as the ID of a job, run or backfill (`of`) is no UUID; a ValueError too."""

    def __init__(self, text: str, of: str) -> None:
        super().__init__(f"{text!r} is not a {of} ID: expected a UUID", field=f"{of}_id")
        self.of = of

    @property
    def unquoted(self) -> str:
        """The message without what was given, which may be a key that was pasted."""
        return f"a {self.of} ID is a UUID"


class ConfigurationError(PenstockError):
    """A setting that is missing or wrong; names the variable or option."""

    exit_code = 2


class UnknownWorkspace(ConfigurationError):
    """No workspace has this name."""

    def __init__(self, workspace: str) -> None:
        super().__init__(
            f"workspace: {workspace!r} does not exist; "
            f"create it with `penstock workspace create {workspace}`"
        )
        self.workspace = workspace


class UnknownConfiguration(ConfigurationError):
    """The workspace has no configuration of this name."""

    def __init__(self, workspace: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"configuration: workspace {workspace} has no {name!r}, only {', '.join(known)}"
        )
        self.workspace, self.name = workspace, name


class UnknownProvider(ConfigurationError):
    """The catalogue has no provider of this name."""

    def __init__(self, provider: str, known: tuple[str, ...] = ()) -> None:
        listed = f"; known providers: {', '.join(known)}" if known else ""
        super().__init__(f"provider: {provider!r} is not in the catalogue{listed}")
        self.provider = provider


class UnknownModel(ConfigurationError):
    """The name cannot be resolved to a provider's model."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"model: {model!r} names no provider; write it as provider/model, "
            "for example openai/gpt-4o-mini"
        )
        self.model = model


class MissingKey(ConfigurationError):
    """No API key is set for a provider; names the variables that would be read."""

    def __init__(self, provider: str, variables: tuple[str, ...]) -> None:
        listed = " or ".join(variables) or f"a key for {provider}"
        super().__init__(f"provider {provider} has no key: set {listed} for its workers")
        self.provider = provider
        self.variables = variables


class UnknownKey(ConfigurationError):
    """A workspace has no key of its own for a provider."""

    def __init__(self, workspace: str, provider: str) -> None:
        super().__init__(
            f"workspace {workspace} has no key for {provider}; "
            f"set one with `penstock keys set {workspace} {provider}`"
        )
        self.workspace = workspace
        self.provider = provider


class KeyRefused(PenstockError):
    """A provider refused a workspace's key, in its words; the key was not stored."""

    def __init__(self, provider: str, message: str) -> None:
        super().__init__(f"{provider} refused the key: {message}")
        self.provider = provider
        self.message = message


class KeyUntested(PenstockError):
    """Whether a key works could not be found out; nothing was stored. Safe to try again."""

    def __init__(self, provider: str, message: str) -> None:
        super().__init__(f"the key for {provider} could not be tested: {message}")
        self.provider = provider
        self.message = message


class Unavailable(PenstockError):
    """Redis or Postgres did not answer in time; safe to try again."""

    def __init__(self, service: str, detail: str, *, variable: str | None = None) -> None:
        hint = f" (from {variable})" if variable else ""
        super().__init__(f"{service} does not answer{hint}: {detail}")
        self.service = service


class UnknownJob(PenstockError):
    """No job has this ID in this ledger."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} does not exist in this ledger")
        self.job_id = job_id


class UnknownToken(PenstockError):
    """No API token has this ID, as far as whoever asks may know."""

    def __init__(self, token_id: str) -> None:
        told = f"token {token_id[:40]!r} does not exist"
        super().__init__(f"{told}; see `penstock workspace token list`")
        self.token_id = token_id


class UnknownRun(PenstockError):
    """No run has this ID, as far as whoever asks may know."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id[:40]} does not exist; see `penstock runs list`")
        self.run_id = run_id


class UnknownBackfill(PenstockError):
    """No backfill has this ID, as far as whoever asks may know."""

    def __init__(self, backfill_id: str) -> None:
        told = f"backfill {backfill_id[:40]} does not exist"
        super().__init__(f"{told}; see `penstock backfill list WORKSPACE`")
        self.backfill_id = backfill_id


class UnknownSkill(PenstockError):
    """The workspace has no skill of this name."""

    def __init__(self, workspace: str, name: str) -> None:
        super().__init__(
            f"workspace {workspace} has no skill {name!r}; see `penstock skills list {workspace}`"
        )
        self.workspace, self.name = workspace, name


class UnknownDelivery(PenstockError):
    """No delivery of a webhook has this ID, as far as whoever asks may know."""

    def __init__(self, event_id: str) -> None:
        super().__init__(
            f"delivery {event_id[:40]} does not exist; see `penstock webhooks list WORKSPACE`"
        )
        self.event_id = event_id


class WebhookRefused(PenstockError):
    """What was received is not what Penstock sent, or was sent too long ago."""


class ResultTimeout(PenstockError):
    """The job had no result within the time given. It goes on; await it again by its ID."""

    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__(
            f"job {job_id} has no result after {timeout_s:g} s; it goes on: "
            f"`penstock explain {job_id}` says where it stands"
        )
        self.job_id = job_id
        self.timeout_s = timeout_s


class JobFailed(PenstockError):
    """The job ended as failed, cancelled or expired; `result` has its error and its cost."""

    def __init__(self, result: Result) -> None:
        reason = result.error.message if result.error else result.status.label
        super().__init__(f"job {result.job_id} {result.status.label}: {reason}")
        self.result = result


class RunTimeout(ResultTimeout):
    """The run had not ended within the time given. It goes on; await it again by its ID."""

    def __init__(self, run_id: str, timeout_s: float) -> None:
        PenstockError.__init__(
            self,
            f"run {run_id} has not ended after {timeout_s:g} s; it goes on: "
            f"`penstock runs show {run_id}` says where it stands",
        )
        self.job_id = self.run_id = run_id
        self.timeout_s = timeout_s


class RunFailed(PenstockError):
    """The run failed or was cancelled; `result` has its error, its steps and its cost."""

    def __init__(self, result: RunResult) -> None:
        reason = result.error or result.status.label
        super().__init__(f"run {result.run_id} {result.status.label}: {reason}")
        self.result = result


class ProviderError(PenstockError):
    """One attempt that failed at a provider, classified by meaning.

    `possibly_billed` is true where the request may have reached the provider and its answer was
    lost; `retry_after_s` is the provider's own hint, in seconds.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        possibly_billed: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.provider = provider
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.possibly_billed = possibly_billed
