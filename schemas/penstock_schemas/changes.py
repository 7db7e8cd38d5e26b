"""Pure: the catalogue in force, made of the packaged one and what an operator lays over it.

Changes come from the tables of the catalogue and from the configuration file, in this order; what
is laid on last goes first. What is wrong is left out and told, never raised: who lays it on
decides whether it may be ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from penstock_schemas.catalog import CapabilityDefault, Catalog, JobDefaults, Model, Provider
from penstock_schemas.errors import ConfigurationError

#: Names of fields and their new values; validated where they are laid over a row.
Fields = Mapping[str, object]
_RowT = TypeVar("_RowT", bound=BaseModel)

#: What a new provider is unless it says otherwise: any OpenAI-compatible server.
_LIKE = "openai_compatible"
_NOTHING: Fields = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to lay over a catalogue, by provider, `provider/model` and capability.

    A field that is absent stays as it is; a row that is new needs what nothing else can tell.
    `every_provider` holds for all providers that `providers` says nothing else of, except that
    its `timeout_s` leaves local ones alone.
    """

    providers: Mapping[str, Fields] = field(default_factory=dict[str, Fields])
    models: Mapping[str, Fields] = field(default_factory=dict[str, Fields])
    capabilities: Mapping[str, Fields] = field(default_factory=dict[str, Fields])
    every_provider: Fields = field(default_factory=dict[str, object])
    defaults: JobDefaults | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A catalogue with changes laid over it, and a line for each that could not be."""

    catalog: Catalog
    mistakes: tuple[str, ...]


def with_changes(base: Catalog, changes: Changes) -> Changed:
    """Lay changes over a catalogue. A row with a mistake stays as it was, or out if it is new.

    A new provider is an OpenAI-compatible server whose key is optional and in `<NAME>_API_KEY`;
    a new model may do all that its provider can. Both until they say otherwise. A capability that
    gets a new model keeps none of its fallbacks unless it names them.
    """
    if changes == Changes():
        return Changed(catalog=base, mistakes=())
    mistakes: list[str] = []
    providers = _providers(base, changes, mistakes)
    catalog = _rebuilt(base, providers=providers, defaults=changes.defaults or base.defaults)
    models = _models(catalog, changes.models, mistakes)
    catalog = _rebuilt(catalog, models=models)
    capabilities = _capabilities(catalog, changes.capabilities, mistakes)
    catalog = _rebuilt(catalog, capabilities=capabilities)
    return Changed(catalog=catalog, mistakes=tuple(mistakes))


def switched(catalog: Catalog) -> Catalog:
    """The same with the models of providers that are switched off switched off too.

    For when all changes are laid on: a later one could not switch their provider on again.
    """
    off = {row.name for row in catalog.providers if not row.is_active}
    if not off:
        return catalog
    models = tuple(
        row.model_copy(update={"active": False}) if row.provider in off else row
        for row in catalog.models
    )
    return _rebuilt(catalog, models=models)


def told(key: str, error: ValidationError) -> list[str]:
    """A line for each mistake: the key, then what is wrong with it; values are not repeated."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    lines: list[str] = []
    for detail in details:
        where = ".".join(str(part) for part in (key, *detail["loc"]) if part != "")
        lines.append(f"{where}: {_PLAINER.get(detail['type'], detail['msg'])}")
    return lines


_PLAINER = {"missing": "is required", "extra_forbidden": "is not a known key"}


def _rebuilt(base: Catalog, **parts: Any) -> Catalog:
    """A new catalogue of checked rows; a copy of the old would keep its indexes."""
    kept: dict[str, Any] = {name: getattr(base, name) for name in Catalog.model_fields}
    return Catalog.model_construct(**{**kept, **parts})


def _providers(base: Catalog, changes: Changes, mistakes: list[str]) -> tuple[Provider, ...]:
    rows = {row.name: row for row in base.providers}
    for name in dict.fromkeys((*rows, *changes.providers)):
        known = rows.get(name)
        own = changes.providers.get(name, _NOTHING)
        start = known.model_dump() if known else _new_provider(base, name)
        general = dict(changes.every_provider)
        if own.get("local", start["local"]):
            general.pop("timeout_s", None)
        if not (general or own):
            continue
        fields = {**start, **general, **own, "name": name}
        row = _row(Provider, fields, f"providers.{name}", mistakes)
        if row is not None:
            rows[name] = row
    return tuple(rows.values())


def _new_provider(base: Catalog, name: str) -> dict[str, object]:
    variable = "".join(letter if letter.isalnum() else "_" for letter in name.upper())
    like = base.provider(_LIKE).model_dump(exclude={"base_url", "timeout_s"})
    return {**like, "display_name": name, "key_variables": (f"{variable}_API_KEY",)}


def _models(
    catalog: Catalog, changes: Mapping[str, Fields], mistakes: list[str]
) -> tuple[Model, ...]:
    rows = {row.ref: row for row in catalog.models}
    for ref, fields in changes.items():
        start = _model_before(catalog, ref, fields, mistakes)
        if start is None:
            continue
        provider, _, name = ref.partition("/")
        whole = {**start, **fields, "provider": provider, "name": name, "known": True}
        row = _row(Model, whole, f"models.{ref}", mistakes)
        if row is not None:
            rows[ref] = row
    return tuple(rows.values())


def _model_before(
    catalog: Catalog, ref: str, fields: Fields, mistakes: list[str]
) -> dict[str, object] | None:
    """The fields that a model has before it is changed, be it listed or not."""
    if "/" not in ref:
        mistakes.append(f"models.{ref}: is not written as provider/model")
        return None
    try:
        found = catalog.resolve(ref)
    except ConfigurationError as error:
        mistakes.append(f"models.{ref}: {error}")
        return None
    start = found.model_dump(exclude=None if found.known else {"active"})
    if not found.known and fields.get("kind", found.kind) != found.kind:
        start["capabilities"] = ()
    return start


def _capabilities(
    catalog: Catalog, changes: Mapping[str, Fields], mistakes: list[str]
) -> dict[str, CapabilityDefault]:
    rows = dict(catalog.capabilities)
    for name, fields in changes.items():
        known, key = rows.get(name), f"capabilities.{name}"
        start = known.model_dump() if known else {}
        if "model" in fields:
            start.pop("fallbacks", None)
        row = _row(CapabilityDefault, {**start, **fields}, key, mistakes)
        if row is None:
            continue
        model = _refs(catalog, (row.model,), f"{key}.model", mistakes)
        fallbacks = _refs(catalog, row.fallbacks, f"{key}.fallbacks", mistakes)
        if model and len(fallbacks) == len(row.fallbacks):
            rows[name] = row.model_copy(update={"model": model[0], "fallbacks": fallbacks})
    return rows


def _refs(catalog: Catalog, names: Iterable[str], key: str, mistakes: list[str]) -> tuple[str, ...]:
    """The normalised names of those that can be placed."""
    found: list[str] = []
    for name in names:
        try:
            found.append(catalog.normalise(name))
        except ConfigurationError as error:
            mistakes.append(f"{key}: {error}")
    return tuple(found)


def _row(kind: type[_RowT], fields: Fields, key: str, mistakes: list[str]) -> _RowT | None:
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        mistakes += told(key, error)
        return None
