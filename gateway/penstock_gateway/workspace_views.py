"""What the API shows of workspaces, their configurations, keys and tokens. Never a key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import Field

from penstock_client.ledger import Configuration, WorkspaceConfig
from penstock_client.provider_keys import KeyInfo
from penstock_gateway.views import View
from penstock_schemas.catalog import Catalog


class ConfigurationView(View):
    """A named configuration; money is in US dollars, a budget of null is unlimited."""

    name: str
    is_default: bool
    primary: str | None
    fallback: str | None
    task_routing: dict[str, str]
    own_keys: bool
    temperature: float | None
    max_tokens: int | None
    daily_usd: Decimal | None
    monthly_usd: Decimal | None
    allow_unpriced: bool
    usd_today: Decimal
    usd_this_month: Decimal
    usd_held: Decimal
    day_resets_at: datetime | None
    month_resets_at: datetime | None


class Configurations(View):
    """The named configurations of a workspace."""

    configurations: list[ConfigurationView]


class WorkspaceView(View):
    """A workspace: its budgets with what is used of them, and its settings.

    `monthly_tokens` null is unlimited, `retention_days` null keeps prompts and answers.
    """

    workspace: str
    created_at: datetime
    weight: float
    monthly_tokens: int | None
    tokens_used: int
    tokens_held: int
    budget_resets_at: datetime
    time_zone: str
    budget_mode: str
    on_budget: str
    retention_days: int | None
    default_configuration: str


class Workspaces(View):
    """Some workspaces, by name; `next` is to be given as `after`, null when there are no more."""

    workspaces: list[WorkspaceView]
    next: str | None


class ProviderOfWorkspace(View):
    """A provider as a workspace has it. `connected`: it has a key of its own there that was not
    refused; without one its jobs use the platform's. `enabled`: its jobs may go there.
    """

    provider: str
    display_name: str
    connected: bool
    enabled: bool
    fingerprint: str | None = Field(description="Names the key; it cannot be computed back.")
    works: bool | None = Field(description="What the key's last test said; null: not tested.")
    problem: str | None
    tested_at: datetime | None


class LlmConfig(WorkspaceView):
    """A workspace's LLM configuration. `default_token_budget` is `monthly_tokens`."""

    default_token_budget: int | None
    routing: dict[str, str | list[str]]
    providers: list[ProviderOfWorkspace]
    configurations: list[ConfigurationView]


class KeyView(View):
    """What is known of a key; the key itself is never given back."""

    provider: str
    fingerprint: str
    works: bool | None
    problem: str | None
    tested_at: datetime | None
    updated_at: datetime


class TokenView(View):
    """What is known of a token; its secret cannot be read back."""

    token_id: str
    name: str
    workspace: str | None
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class TokenList(View):
    """The tokens of a workspace, oldest first, revoked ones too."""

    tokens: list[TokenView]


class NewTokenView(TokenView):
    """A token that was just made; `token` is the secret, and is never shown again."""

    token: str


def configuration_view(found: Configuration, *, default: str) -> ConfigurationView:
    """A configuration as it is shown."""
    names = [name for name in ConfigurationView.model_fields if name != "is_default"]
    fields = {name: getattr(found, name) for name in names}
    fields["task_routing"] = dict(found.task_routing)
    return ConfigurationView(**fields, is_default=found.name == default)


def configuration_views(config: WorkspaceConfig) -> list[ConfigurationView]:
    """All configurations of a workspace."""
    default = config.default_configuration
    return [configuration_view(each, default=default) for each in config.configurations.values()]


def workspace_view(config: WorkspaceConfig) -> WorkspaceView:
    """A workspace as it is shown."""
    return WorkspaceView.model_validate(config)


def llm_config(config: WorkspaceConfig, keys: Sequence[KeyInfo], catalog: Catalog) -> LlmConfig:
    """A workspace's configuration with its keys, and every provider that is active or has one."""
    plain = {name: getattr(config, name) for name in WorkspaceView.model_fields}
    return LlmConfig(
        **plain,
        default_token_budget=config.monthly_tokens,
        routing={
            name: models[0] if len(models) == 1 else list(models)
            for name, models in config.routing.items()
        },
        providers=_providers(config, keys, catalog),
        configurations=configuration_views(config),
    )


def _providers(
    config: WorkspaceConfig, keys: Sequence[KeyInfo], catalog: Catalog
) -> list[ProviderOfWorkspace]:
    own = {info.provider: info for info in keys}
    disabled: Collection[str] = config.disabled
    shown: list[ProviderOfWorkspace] = []
    for row in catalog.providers:
        info = own.get(row.name)
        if not row.is_active and info is None:
            continue
        shown.append(
            ProviderOfWorkspace(
                provider=row.name,
                display_name=row.display_name,
                connected=info is not None and info.works is not False,
                enabled=row.name not in disabled,
                fingerprint=info and info.fingerprint,
                works=info and info.works,
                problem=info and info.problem,
                tested_at=info and info.tested_at,
            )
        )
    return shown
