"""Changes of a workspace and of its named configurations, as commands and the API take them.

Every field may be left out, and what is left out stays as it is; `None` is a value of its own where
a field takes it. `model_fields_set` tells the two apart.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from penstock_schemas.errors import ConfigurationError
from penstock_schemas.jobs import Tag

BudgetMode = Literal["soft", "hard"]
OnBudget = Literal["fail", "wait"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
#: One name, or several, best first.
ModelNames = Annotated[
    tuple[ModelName, ...],
    Field(min_length=1, max_length=20),
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),
]
ConfigurationName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", max_length=63)
]
#: Money of a budget in US dollars; None is unlimited.
BudgetUsd = Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=18)] | None

#: The configuration that every workspace has.
DEFAULT_CONFIGURATION = "default"
#: Tokens that a new workspace may use in a month.
NEW_MONTHLY_TOKENS = 50_000
#: Under this name the tests of keys run, which draw on no budget; no configuration may have it.
KEY_CHECK = "key-check"
#: What a configuration is made with where nothing else is said.
NEW_TEMPERATURE, NEW_MAX_TOKENS = 0.7, 4096

#: Names in the routing of a workspace, task types of a configuration, and configurations, at most.
MOST_NAMES = 500

_T = TypeVar("_T", bound=BaseModel)


class _Changes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WorkspaceChanges(_Changes):
    """What to change of a workspace.

    `weight` is its share of each provider beside others' 1. `monthly_tokens` None is unlimited;
    `retention_days` None keeps prompts and answers, 0 stores them no longer than it takes to fetch
    an answer. Days and months end by `time_zone`. `routing` sets the models of capabilities, best
    first, and unsets those that are None; `providers` switches providers on and off.
    """

    weight: float | None = Field(default=None, ge=0.001, le=1000)
    monthly_tokens: int | None = Field(default=None, ge=0, lt=2**63)
    time_zone: Annotated[str, StringConstraints(max_length=64)] = "UTC"
    budget_mode: BudgetMode = "soft"
    on_budget: OnBudget = "fail"
    retention_days: int | None = Field(default=None, ge=0, le=3650)
    default_configuration: ConfigurationName = DEFAULT_CONFIGURATION
    routing: dict[Tag, ModelNames | None] = Field(default_factory=dict, max_length=MOST_NAMES)
    providers: dict[Tag, bool] = Field(default_factory=dict, max_length=MOST_NAMES)

    @field_validator("weight")
    @classmethod
    def _has_weight(cls, value: float | None) -> float:
        if value is None:
            raise PydanticCustomError("no_weight", "must be a number from 0.001 to 1000")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise PydanticCustomError(
                "unknown_time_zone", "must be a time zone such as Europe/Berlin"
            ) from None
        return value


class ConfigurationChanges(_Changes):
    """What to change of a named configuration, or what a new one is made with.

    `primary` is the model of jobs that no rule routes, `fallback` follows whatever leads their
    routes; `task_routing` sets the model of a task type, None unsets it. With `own_keys` off its
    jobs use the platform's keys. `temperature` and `max_tokens` are those of jobs that name none.
    Money budgets are in US dollars, None is unlimited; `allow_unpriced` lets models without a known
    price run under one.
    """

    primary: ModelName | None = None
    fallback: ModelName | None = None
    task_routing: dict[Tag, ModelName | None] = Field(default_factory=dict, max_length=MOST_NAMES)
    own_keys: bool = True
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    daily_usd: BudgetUsd = None
    monthly_usd: BudgetUsd = None
    allow_unpriced: bool = False


def checked(kind: type[_T], fields: dict[str, object]) -> _T:
    """The changes of these fields; raises ConfigurationError that names the first mistake."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in found["loc"])
        message = found["msg"][:1].lower() + found["msg"][1:]
        raise ConfigurationError(f"{name}: {message}" if name else message) from None
