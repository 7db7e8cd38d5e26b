"""The configuration file, `penstock.toml`: its text -> typed sections -> changes to the catalogue.

The one place that knows the file's keys; `docs/configuration.md` explains each. Reading the file
itself is left to `penstock_client.catalogue`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from penstock_schemas.catalog import (
    Ability,
    AuthStyle,
    AuthType,
    Catalog,
    Feature,
    JobDefaults,
    LaneName,
    ModelKind,
    QualityTier,
    SizeCategory,
    SpeedTier,
    StructuredOutput,
    Wire,
)
from penstock_schemas.changes import Changes, told, with_changes
from penstock_schemas.errors import ConfigurationError
from penstock_schemas.jobs import Strategy
from penstock_schemas.limits import LimitSetting, limits_of_file, mistakes_in_limits


class _Section(BaseModel):
    """Keys that are absent change nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def given(self, *, without: frozenset[str] = frozenset()) -> dict[str, object]:
        """The keys that the file has, with their values."""
        names = self.model_fields_set - without
        return {name: getattr(self, name) for name in sorted(names)}


class DefaultsSection(_Section):
    """`[defaults]`: for jobs and providers that do not say."""

    timeout_s: float | None = Field(default=None, gt=0, le=3600)
    max_attempts: int | None = Field(default=None, ge=1, le=50)
    lane: LaneName | None = None
    strategy: Strategy | None = None


class ProviderSection(_Section):
    """`[providers.NAME]`: the fields of `penstock_schemas.catalog.Provider`, and its limits."""

    display_name: str | None = None
    wire: Wire | None = None
    base_url: str | None = Field(default=None, pattern=r"^(https?://|\{)")
    auth_type: AuthType | None = None
    auth_style: AuthStyle | None = None
    key_variables: tuple[str, ...] | None = None
    features: frozenset[Feature] | None = None
    embeddings: bool | None = None
    structured_output: StructuredOutput | None = None
    max_tokens_field: str | None = None
    local: bool | None = None
    timeout_s: float | None = Field(default=None, gt=0, le=3600)
    max_attempts: int | None = Field(default=None, ge=1, le=50)
    max_concurrency: PositiveInt | None = None
    default_model: str | None = Field(default=None, min_length=1)
    is_active: bool | None = None
    unsupported_parameters: frozenset[str] | None = None
    renamed_parameters: Mapping[str, str] | None = None
    reasoning_prefixes: tuple[str, ...] | None = None
    responses_models: tuple[str, ...] | None = None
    wire_id_prefix: str | None = None
    limits: Mapping[str, int | float] | None = None

    @field_validator("limits")
    @classmethod
    def _known_limits(
        cls, limits: Mapping[str, int | float] | None
    ) -> Mapping[str, int | float] | None:
        if mistakes := mistakes_in_limits(limits or {}):
            told_all = {"mistakes": "; ".join(mistakes)}
            raise PydanticCustomError("limits", "{mistakes}", told_all)
        return limits


class ModelSection(_Section):
    """`[[models]]`: the fields of `penstock_schemas.catalog.Model`; `is_active` is its `active`."""

    provider: str
    name: str = Field(min_length=1)
    wire_id: str | None = None
    display_name: str | None = None
    wire: Wire | None = None
    kind: ModelKind | None = None
    context_window: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    dimensions: PositiveInt | None = None
    capabilities: frozenset[Ability] | None = None
    reasoning: bool | None = None
    structured_output: StructuredOutput | None = None
    unsupported_parameters: frozenset[str] | None = None
    speed_tier: SpeedTier | None = None
    quality_tier: QualityTier | None = None
    size_category: SizeCategory | None = None
    input_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    output_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    cached_input_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    cache_write_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    long_context_above_tokens: PositiveInt | None = None
    long_context_factor: Decimal | None = Field(default=None, ge=1)
    retires_on: date | None = None
    is_active: bool | None = None

    @property
    def ref(self) -> str:
        """The normalised `provider/model`."""
        return f"{self.provider}/{self.name}"


class CapabilitySection(_Section):
    """`[capabilities.NAME]`: where jobs go whose workspace does not say."""

    model: str | None = None
    fallbacks: tuple[str, ...] | None = None
    max_output_tokens: NonNegativeInt | None = None


class Configuration(_Section):
    """The whole file."""

    defaults: DefaultsSection = DefaultsSection()
    providers: Mapping[str, ProviderSection] = {}
    models: tuple[ModelSection, ...] = ()
    capabilities: Mapping[str, CapabilitySection] = {}

    @field_validator("models")
    @classmethod
    def _each_model_once(cls, models: tuple[ModelSection, ...]) -> tuple[ModelSection, ...]:
        counted = Counter(model.ref for model in models)
        if twice := sorted(ref for ref, count in counted.items() if count > 1):
            refs = ", ".join(twice)
            raise PydanticCustomError("model_twice", "{refs} stands there twice", {"refs": refs})
        return models

    @property
    def limits(self) -> tuple[LimitSetting, ...]:
        """The limits that the file sets for providers."""
        return tuple(
            limit
            for name, section in self.providers.items()
            for limit in limits_of_file(name, section.limits or {})
        )

    @property
    def changes(self) -> Changes:
        """What the file lays over the catalogue."""
        defaults = self.defaults
        jobs = JobDefaults(lane=defaults.lane, strategy=defaults.strategy)
        return Changes(
            providers={
                name: section.given(without=frozenset({"limits"}))
                for name, section in self.providers.items()
            },
            models={model.ref: _model_fields(model) for model in self.models},
            capabilities={name: section.given() for name, section in self.capabilities.items()},
            every_provider=defaults.given(without=frozenset({"lane", "strategy"})),
            defaults=None if jobs == JobDefaults() else jobs,
        )


def parse_configuration(text: str, *, file: str) -> Configuration:
    """Read the text of a configuration file, named `file` in what is told.

    Raises ConfigurationError with a line for each mistake that names the file and the key, or the
    line where the text is no TOML. What only shows beside a catalogue, `configured` tells.
    """
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_no_toml(file, str(error))) from None
    try:
        return Configuration.model_validate(data)
    except ValidationError as error:
        raise mistakes_in(file, told("", error)) from None


def configured(catalog: Catalog, configuration: Configuration, *, file: str) -> Catalog:
    """A catalogue under the file; raises ConfigurationError with a line for each mistake."""
    changed = with_changes(catalog, configuration.changes)
    if changed.mistakes:
        raise mistakes_in(file, changed.mistakes)
    return changed.catalog


def mistakes_in(file: str, mistakes: list[str] | tuple[str, ...]) -> ConfigurationError:
    """The error that tells them, a line each."""
    return ConfigurationError("\n".join(f"{file}: {mistake}" for mistake in mistakes))


def _model_fields(model: ModelSection) -> dict[str, object]:
    fields = model.given(without=frozenset({"provider", "name", "is_active"}))
    return fields if model.is_active is None else {**fields, "active": model.is_active}


def _no_toml(file: str, message: str) -> str:
    found = re.search(r"^(?P<what>.*) \(at line (?P<line>\d+), column \d+\)$", message, re.DOTALL)
    if found is None:
        return f"{file}: {message}"
    return f"{file}, line {found['line']}: {found['what']}"
