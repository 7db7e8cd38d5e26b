"""The catalogue of providers and models: the facts that routing, adapters and pricing read.

The data stand in `catalog_data/*.toml`, where each row cites its source; this module gives them
types. An operator's changes are laid over them by `changes`. Read by routing (candidates, tiers),
the worker (addresses, wires, what to send and what not) and the gateway (the model list). Nothing
is read before `catalog()` is called.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from penstock_schemas.errors import UnknownModel, UnknownProvider
from penstock_schemas.jobs import Strategy

Wire = Literal["openai_chat", "openai_responses", "anthropic", "gemini"]
AuthType = Literal["api_key", "oauth", "custom"]
AuthStyle = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "none"]
Feature = Literal["streaming", "function_calling", "vision"]
StructuredOutput = Literal["json_schema", "json_object", "tool", "prompt"]
Ability = Literal["tools", "vision", "schema", "reasoning", "json"]
ModelKind = Literal["chat", "embedding"]
SpeedTier = Literal["fast", "standard", "slow"]
QualityTier = Literal["best", "good", "basic"]
SizeCategory = Literal["tiny", "small", "medium", "large", "xl"]
#: The part of a base URL that each call replaces with its model's ID.
MODEL_PLACEHOLDER = "{model}"
#: How long a call may take, in seconds, at a provider that says nothing, and at a local one.
TIMEOUT_S, LOCAL_TIMEOUT_S = 60.0, 120.0

LaneName = Literal["interactive", "bulk", "background"]

SAMPLING_PARAMETERS = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provider(_Row):
    """One provider: where it is, how it wants its key, and what its wire takes.

    `structured_output` is the strongest way to hold an answer to a schema that works for all of
    its models; a model's own value, where it has one, goes first. `unsupported_parameters` and
    `renamed_parameters` use the names of Penstock's jobs; the pseudo-parameter
    `forced_tool_choice` stands for any tool choice but `auto` and `none`, `tool_call_ids` for IDs
    on calls and results where the wire could carry them.
    `key_variables` are environment variables in the order in which they are tried.
    `responses_models` are patterns (`*-pro`) of the names of unlisted models that need the
    Responses wire. `default_model` is what its bare name stands for. `max_attempts` holds for jobs
    that are placed there and name none. One that is not `is_active` gets no new jobs.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    display_name: str
    wire: Wire = "openai_chat"
    base_url: str
    auth_type: AuthType = "api_key"
    auth_style: AuthStyle = "bearer"
    key_variables: tuple[str, ...] = ()
    features: frozenset[Feature] = frozenset()
    embeddings: bool = False
    structured_output: StructuredOutput = "prompt"
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    local: bool = False
    timeout_s: float = Field(default=TIMEOUT_S, gt=0, le=3600)
    max_attempts: int | None = Field(default=None, ge=1, le=50)
    max_concurrency: PositiveInt = 64
    default_model: str | None = Field(default=None, min_length=1)
    is_active: bool = True
    unsupported_parameters: frozenset[str] = frozenset()
    renamed_parameters: Mapping[str, str] = {}
    reasoning_prefixes: tuple[str, ...] = ()
    responses_models: tuple[str, ...] = ()
    wire_id_prefix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _local_is_slower(cls, row: dict[str, Any]) -> dict[str, Any]:
        return {"timeout_s": LOCAL_TIMEOUT_S, **row} if row.get("local") else row

    @property
    def is_openai_compatible(self) -> bool:
        """Whether it speaks OpenAI's Chat Completions wire."""
        return self.wire == "openai_chat"

    @property
    def needs_base_url(self) -> bool:
        """Whether the address has a part that only the user knows (`{…}` in `base_url`).

        `{model}` is none: each call fills it in.
        """
        return "{" in self.base_url.replace(MODEL_PLACEHOLDER, "")

    @property
    def needs_key(self) -> bool:
        """Whether a call without a key is sure to fail."""
        return self.auth_type == "api_key" and self.auth_style != "none"

    def lacks(self, model: Model, parameter: str) -> bool:
        """Whether a call of one of its models cannot carry a parameter, by its name in jobs."""
        return (
            parameter in self.unsupported_parameters
            or parameter in model.unsupported_parameters
            or (model.reasoning and parameter in SAMPLING_PARAMETERS)
        )

    def wire_id(self, name: str) -> str:
        """The ID to send for a model name that the catalogue does not hold."""
        return name if "/" in name else self.wire_id_prefix + name

    def wire_of(self, name: str) -> Wire | None:
        """The wire that a model which the catalogue does not hold needs, where not the usual."""
        needs_responses = any(fnmatchcase(name, pattern) for pattern in self.responses_models)
        return "openai_responses" if needs_responses else None


class Model(_Row):
    """One model of one provider. No new jobs go to one whose `active` is False.

    Prices are US dollars per million tokens; `None` is unknown, never free. Where
    `long_context_above_tokens` is set, a longer prompt raises the price of every token of its call,
    up to `long_context_factor` times.
    `capabilities` says what the model can do through Penstock, by whatever means its wire has.
    `reasoning` marks models that refuse sampling parameters (and, on OpenAI's wire, take
    `max_completion_tokens` only); a model may well reason without it.
    `wire` is set where the model needs another wire than its provider's usual one.
    `retires_on` is the day from which the provider no longer answers for it; `active` is an
    operator's word, which goes before it. `known` is false for a model that was named by a user
    and stands in no row.
    """

    provider: str
    name: str
    wire_id: str
    display_name: str
    wire: Wire | None = None
    kind: ModelKind = "chat"
    context_window: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    dimensions: PositiveInt | None = None
    capabilities: frozenset[Ability] = frozenset()
    reasoning: bool = False
    structured_output: StructuredOutput | None = None
    unsupported_parameters: frozenset[str] = frozenset()
    speed_tier: SpeedTier = "standard"
    quality_tier: QualityTier = "good"
    size_category: SizeCategory = "medium"
    input_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    output_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    cached_input_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    cache_write_usd_per_mtok: Decimal | None = Field(default=None, ge=0)
    long_context_above_tokens: PositiveInt | None = None
    long_context_factor: Decimal = Field(default=Decimal(2), ge=1)
    retires_on: date | None = None
    active: bool | None = None
    known: bool = True

    @model_validator(mode="before")
    @classmethod
    def _wire_id_is_the_name(cls, row: dict[str, Any]) -> dict[str, Any]:
        return {"wire_id": row.get("name"), **row}

    @property
    def ref(self) -> str:
        """The normalised `provider/model`."""
        return f"{self.provider}/{self.name}"

    def is_active(self, today: date) -> bool:
        """Whether the provider still answers for it on that day, as far as the catalogue knows."""
        if self.active is not None:
            return self.active
        return self.retires_on is None or today < self.retires_on


class CapabilityDefault(_Row):
    """Where jobs of a capability go when their workspace does not say."""

    model: str
    fallbacks: tuple[str, ...] = ()
    max_output_tokens: NonNegativeInt | None = None

    @property
    def routes(self) -> tuple[str, ...]:
        """The model and its fallbacks, in the order in which to try them."""
        return (self.model, *self.fallbacks)


class JobDefaults(_Row):
    """What holds for jobs that do not say. A strategy holds for jobs that ask for text."""

    lane: LaneName | None = None
    strategy: Strategy | None = None


class Catalog(_Row):
    """All providers and models, with the default routing. Immutable; look-ups are by dict."""

    providers: tuple[Provider, ...]
    models: tuple[Model, ...]
    capabilities: Mapping[str, CapabilityDefault]
    detection: Mapping[str, str]
    defaults: JobDefaults = JobDefaults()

    @classmethod
    def load(cls) -> Self:
        """Read the packaged data. Raises pydantic's ValidationError if they contradict themselves.

        Reads and checks on every call: use `catalog()` for the shared instance.
        """
        routing = _read("routing")
        return cls.model_validate(
            {
                "providers": _read("providers")["provider"],
                "models": _read("models")["model"],
                "capabilities": routing["capability"],
                "detection": routing["detection"],
            }
        )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len(self._providers) != len(self.providers) or len(self._models) != len(self.models):
            raise ValueError("a provider or model stands in the catalogue twice")
        named = {model.provider for model in self.models} | set(self.detection.values())
        if strangers := named - self._providers.keys():
            raise ValueError(f"not in the catalogue's providers: {sorted(strangers)}")
        routed = {ref for default in self.capabilities.values() for ref in default.routes}
        if strangers := {ref for ref in routed if ref.partition("/")[0] not in self._providers}:
            raise ValueError(f"default routing names unknown providers: {sorted(strangers)}")
        return self

    def provider(self, name: str) -> Provider:
        """The provider of that name. Raises UnknownProvider, which lists those there are."""
        found = self._providers.get(name)
        if found is None:
            raise UnknownProvider(name, tuple(self._providers))
        return found

    def model(self, ref: str) -> Model:
        """The row of `provider/model`, or of a bare name. Raises UnknownModel, UnknownProvider."""
        found = self.resolve(ref)
        if not found.known:
            raise UnknownModel(ref)
        return found

    def models_of(self, provider: str) -> tuple[Model, ...]:
        """All rows of one provider, in the order of the file."""
        return tuple(model for model in self.models if model.provider == provider)

    def resolve(self, ref: str) -> Model:
        """The model that a user means by `provider/model` or by a bare name.

        The name of a provider with a default model means that. A name that a known provider may
        have but the catalogue lacks gives a model with unknown prices (zero on local servers), so
        new models work before they are listed here. Only the first slash separates:
        `lmstudio/org/model` is model `org/model` of `lmstudio`.
        Raises UnknownProvider if the first part is no provider, UnknownModel if a bare name
        belongs to no known family.
        """
        if known := self._models.get(ref):
            return known
        provider, slash, name = ref.partition("/")
        if not name and (default := self._default_model(provider)):
            return self.resolve(default)
        if not slash:
            detected = self.detect_provider(ref)
            if detected is None:
                raise UnknownModel(ref)
            provider, name = detected, ref
        owner = self.provider(provider)
        if not name:
            raise UnknownModel(ref)
        return self._models.get(f"{provider}/{name}") or _unlisted(owner, name)

    def normalise(self, name: str) -> str:
        """The normalised `provider/model` of a name as users write it; raises as `resolve`."""
        return self.resolve(name).ref

    def is_local(self, ref: str) -> bool:
        """Whether a model runs on the user's own machines, which costs nothing a call.

        Takes what `resolve` takes, and raises as it does.
        """
        return self.provider(self.resolve(ref).provider).local

    def detect_provider(self, name: str) -> str | None:
        """The provider of a bare model name: its only row, else its family's prefix, else None."""
        owners = self._owners.get(name, ())
        if len(owners) == 1:
            return owners[0]
        lowered = name.lower()
        fitting = [p for p in self.detection if lowered.startswith(p) or lowered == p.rstrip("-")]
        return self.detection[max(fitting, key=len)] if fitting else None

    def structured_output(self, model: Model) -> StructuredOutput:
        """The strongest way to hold this model's answer to a schema."""
        return model.structured_output or self.provider(model.provider).structured_output

    def unsupported_parameters(self, model: Model) -> frozenset[str]:
        """Job parameters that must not be sent for this model, its provider's included."""
        sampling: frozenset[str] = SAMPLING_PARAMETERS if model.reasoning else frozenset()
        shared = self.provider(model.provider).unsupported_parameters
        return shared | model.unsupported_parameters | sampling

    def _default_model(self, provider: str) -> str | None:
        found = self._providers.get(provider)
        if found is None or found.default_model is None:
            return None
        return f"{provider}/{found.default_model.removeprefix(f'{provider}/')}"

    @cached_property
    def _providers(self) -> dict[str, Provider]:
        return {provider.name: provider for provider in self.providers}

    @cached_property
    def _models(self) -> dict[str, Model]:
        return {model.ref: model for model in self.models}

    @cached_property
    def _owners(self) -> dict[str, tuple[str, ...]]:
        owners: dict[str, tuple[str, ...]] = {}
        for model in self.models:
            owners[model.name] = (*owners.get(model.name, ()), model.provider)
        return owners


@cache
def catalog() -> Catalog:
    """The packaged catalogue, read once per process."""
    return Catalog.load()


def _read(name: str) -> dict[str, Any]:
    source = files("penstock_schemas").joinpath("catalog_data", f"{name}.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


def _unlisted(provider: Provider, name: str) -> Model:
    """A model that is in no row. It may do all its provider can: the provider will say if not."""
    embedding = "embed" in name.lower()
    abilities: set[Ability] = set() if embedding else {"json", "schema", "reasoning"}
    if not embedding and "function_calling" in provider.features:
        abilities.add("tools")
    if not embedding and "vision" in provider.features:
        abilities.add("vision")
    price = Decimal(0) if provider.local else None
    return Model(
        provider=provider.name,
        name=name,
        wire_id=provider.wire_id(name),
        display_name=name,
        wire=provider.wire_of(name),
        kind="embedding" if embedding else "chat",
        capabilities=frozenset(abilities),
        reasoning=name.startswith(provider.reasoning_prefixes),
        input_usd_per_mtok=price,
        output_usd_per_mtok=price,
        cached_input_usd_per_mtok=price,
        active=None if provider.is_active else False,
        known=False,
    )
