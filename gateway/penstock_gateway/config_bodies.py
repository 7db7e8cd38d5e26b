"""What the API takes to change a workspace's LLM configuration, keys and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)

from penstock_client.tokens import MOST_NAME, Scope
from penstock_schemas.jobs import Tag
from penstock_schemas.workspaces import MOST_NAMES, ConfigurationChanges, WorkspaceChanges

_MOST_KEY = 8192
ApiKey = Annotated[SecretStr, Field(min_length=1, max_length=_MOST_KEY)]


class Body(BaseModel):
    """A body that refuses fields which it does not know, and never quotes what it was given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KeyBody(Body):
    """A provider's key. `validate` tries it first; `store_anyway` keeps one that does not work."""

    api_key: ApiKey
    validate_key: bool = Field(default=True, alias="validate")
    store_anyway: bool = False


class ProviderChange(Body):
    """What to change of a provider. `api_key` null takes the workspace's own key out."""

    api_key: ApiKey | None = None
    enabled: bool | None = None


def _short(given: Any) -> Any:
    return {"api_key": given} if isinstance(given, str) else given


class ConfigBody(WorkspaceChanges):
    """What to change of a workspace's LLM configuration; what is not named stays.

    `providers` maps names to `{"api_key": …, "enabled": …}`, or to just a key. `routing` maps
    capabilities to one model or several, best first; null takes one out. `default_token_budget` is
    `monthly_tokens` by another name. `validate` tries each key with one tiny call first, and
    `store_anyway` keeps those that do not work.
    """

    providers: dict[Tag, Annotated[ProviderChange, BeforeValidator(_short)]] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] - as the API takes it
        default_factory=dict, max_length=MOST_NAMES
    )
    default_token_budget: int | None = Field(default=None, ge=0, lt=2**63)
    validate_keys: bool = Field(default=True, alias="validate")
    store_anyway: bool = False

    def changes(self) -> WorkspaceChanges:
        """What to change beside the keys."""
        named = self.model_fields_set
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in WorkspaceChanges.model_fields
            if name in named and name != "providers"
        }
        if "default_token_budget" in named:
            given["monthly_tokens"] = self.default_token_budget
        switched = {
            name: change.enabled
            for name, change in self.providers.items()
            if change.enabled is not None
        }
        if switched:
            given["providers"] = switched
        return WorkspaceChanges(**given)


class NewConfiguration(ConfigurationChanges):
    """A named configuration to make or change; `is_default` lets jobs that name none use it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    is_default: bool = False


class ConfigurationBody(ConfigurationChanges):
    """What to change of a named configuration."""

    is_default: bool = False


class NewWorkspace(Body):
    """A workspace to make; `monthly_tokens` null is unlimited."""

    workspace: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    monthly_tokens: int | None = Field(default=50_000, ge=0, lt=2**63)


class TokenBody(Body):
    """A token to make. `scopes` null is everything in its workspace."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME)]
    scopes: list[Scope] | None = Field(default=None, min_length=1, max_length=20)
    expires_at: datetime | None = None


class EstimateBody(Body):
    """A model, and the tokens of each of so many calls; cached ones are part of the input."""

    model: Tag
    input_tokens: int = Field(ge=0, le=2**53)
    output_tokens: int = Field(ge=0, le=2**53)
    cached_input_tokens: int = Field(default=0, ge=0, le=2**53)
    calls: int = Field(default=1, ge=1, le=1_000_000_000)
