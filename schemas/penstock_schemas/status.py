"""The closed sets: a job's states with their transitions, lanes, attempt states, error kinds.

States and lanes are stored as small integers in Postgres; the numbers here are part of the schema
and never change meaning.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self

from penstock_schemas.errors import InvalidJob

#: The number of the first terminal state of every set.
_FIRST_TERMINAL = 10


class Labelled(IntEnum):
    """A closed set that is stored as numbers and shown by names."""

    @property
    def label(self) -> str:
        """The public name, in lower case."""
        return self.name.lower()


class State(Labelled):
    """Where something stands. From 10 on a state is terminal."""

    def __str__(self) -> str:
        return self.label

    def __format__(self, spec: str) -> str:
        return format(self.label, spec)

    @property
    def is_terminal(self) -> bool:
        """Whether what stands so has ended."""
        return self >= _FIRST_TERMINAL

    @classmethod
    def of(cls, given: Self | str | None) -> Self | None:
        """A state that a caller chose, as such or by its public name; raises InvalidJob."""
        try:
            return cls.parse(given) if isinstance(given, str) else given
        except ValueError as error:
            raise InvalidJob(f"state: {error}", field="state") from None

    @classmethod
    def label_of(cls, given: Self | str | None) -> str | None:
        """The public name of a state that a caller chose; raises InvalidJob."""
        found = cls.of(given)
        return None if found is None else found.label

    @classmethod
    def parse(cls, label: str) -> Self:
        """The state of a public name; raises ValueError that lists the names."""
        try:
            return cls[label.upper()]
        except KeyError:
            names = ", ".join(state.label for state in cls)
            raise ValueError(f"unknown state {label!r}: expected one of {names}") from None

    @classmethod
    def read(cls, value: object) -> object:
        """A public name as its state, and anything else as it is: for validators."""
        return cls.parse(value) if isinstance(value, str) else value


class JobState(State):
    """Where a job stands. Every state from `SUCCEEDED` on is terminal and final for callers."""

    QUEUED = 1
    DEFERRED = 2
    BLOCKED = 3
    RUNNING = 4
    SUCCEEDED = 10
    FAILED = 11
    CANCELLED = 12
    EXPIRED = 13


_LIVE = frozenset(
    {
        JobState.QUEUED,
        JobState.DEFERRED,
        JobState.RUNNING,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.EXPIRED,
    }
)

#: State -> the states it may become. Terminal states lead nowhere. A requeue is a new epoch of the
#: same job: it begins in `QUEUED` again and keeps its earlier attempts. What succeeded is never
#: requeued.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.BLOCKED: frozenset(
        {JobState.QUEUED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
    ),
    JobState.QUEUED: _LIVE - {JobState.QUEUED},
    JobState.DEFERRED: _LIVE - {JobState.DEFERRED},
    JobState.RUNNING: _LIVE | {JobState.SUCCEEDED},
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.EXPIRED: frozenset(),
}


class Lane(Labelled):
    """Which share of a provider a job runs in; a smaller number is nearer to a waiting person."""

    INTERACTIVE = 0
    BULK = 1
    BACKGROUND = 2


class AttemptState(State):
    """What became of one attempt. `OPEN` stands in Postgres before the request is sent."""

    OPEN = 1
    #: Given back before the request was sent: never billed, not part of usage.
    RETURNED = 2
    SUCCEEDED = 10
    FAILED = 11
    #: Its worker was lost after the attempt was opened: the call may have been paid.
    ABANDONED = 12


class FinishReason(StrEnum):
    """Why a model stopped, the same for every provider."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    #: The provider paused a long turn and expects to be asked to go on.
    PAUSE = "pause"
    #: The provider named a reason that this version does not know.
    UNKNOWN = "unknown"


class ErrorKind(StrEnum):
    """What went wrong, by meaning. `outcome.py` decides by this alone, never by message text."""

    # What providers answer.
    RATE_LIMITED = "rate_limited"
    REQUEST_EXCEEDS_LIMIT = "request_exceeds_limit"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    MODEL_NOT_FOUND = "model_not_found"
    OVERLOADED = "overloaded"
    SLOW_DOWN = "slow_down"
    SERVER_ERROR = "server_error"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    INVALID_REQUEST = "invalid_request"
    # What the wire did.
    CONNECT_ERROR = "connect_error"
    INTERRUPTED = "interrupted"
    MALFORMED_ANSWER = "malformed_answer"
    # What the answer lacked.
    LENGTH = "length"
    INVALID_OUTPUT = "invalid_output"
    # What Penstock decided.
    MISSING_KEY = "missing_key"
    UNSUPPORTED = "unsupported"
    BUDGET_EXCEEDED = "budget_exceeded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    QUEUE_TIMEOUT = "queue_timeout"
    POISON = "poison"
    INTERNAL = "internal"
