"""The catalogue in force: the packaged one, under the ledger's tables, under the file.

Who composes a process loads it: a client when it connects and every few minutes after, workers
and stewards when they start. The tables are what `penstock migrate` seeds; of their rows only
what an operator has changed counts, so a client of another version keeps its own package's facts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from penstock_client.ledger import Ledger
from penstock_client.settings import CONFIG_VARIABLE, Settings
from penstock_schemas.catalog import Catalog, Model, Provider, catalog
from penstock_schemas.changes import Changes, Fields, switched, with_changes
from penstock_schemas.configuration import Configuration, configured, parse_configuration
from penstock_schemas.errors import ConfigurationError

logger = logging.getLogger("penstock.catalogue")

#: How often a client reads the tables again.
REFRESH_S = 300.0

#: The columns that are named otherwise than the fields.
_PROVIDER_FIELDS = {
    "supported_features": "features",
    "supports_embeddings": "embeddings",
    "is_local": "local",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """A configuration file that was read, and its name for what is told of it."""

    name: str
    configuration: Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What an operator has changed in the tables, laid over a package.

    `changed` names the rows, as `provider` or `provider/model`; `refused` has a line for each row
    that makes no sense and is left out.
    """

    catalog: Catalog
    changed: tuple[str, ...]
    refused: tuple[str, ...]


def read_configuration(settings: Settings) -> ConfigurationFile | None:
    """The configuration file of these settings, None without one.

    Raises ConfigurationError, which names the file and each key that is wrong, or the variable
    where its file cannot be read.
    """
    path = settings.config_file
    if path is None:
        return None
    configuration = parse_configuration(_text_of(path), file=str(path))
    configured(catalog(), configuration, file=str(path))
    return ConfigurationFile(name=str(path), configuration=configuration)


def under_file(known: Catalog, file: ConfigurationFile | None) -> Catalog:
    """A catalogue under the file, which goes first; raises ConfigurationError as it was read."""
    if file is not None:
        known = configured(known, file.configuration, file=file.name)
    return switched(known)


def offline_catalog(settings: Settings) -> Catalog:
    """The packaged catalogue under the file, for what has no database to ask."""
    return under_file(catalog(), read_configuration(settings))


async def catalog_in_force(ledger: Ledger, file: ConfigurationFile | None) -> Catalog:
    """Package, tables and file, in this order; rows that make no sense are logged and left out.

    Raises Unavailable, or ConfigurationError where the database lacks the tables or the file does
    not go with what stands in them.
    """
    edits = await read_edits(ledger)
    for line in edits.refused:
        logger.warning("catalogue.row_refused", extra={"reason": line})
    return under_file(edits.catalog, file)


async def load_catalog(settings: Settings) -> Catalog:
    """The catalogue in force by a connection of its own, for a process that starts.

    Raises as `catalog_in_force` and `read_configuration` do.
    """
    file = read_configuration(settings)
    ledger = await Ledger.connect(settings, max_size=1)
    try:
        return await catalog_in_force(ledger, file)
    finally:
        await ledger.close()


async def read_edits(ledger: Ledger) -> Edits:
    """The packaged catalogue under an operator's edits in the tables."""
    rows = await ledger.fetch_safely("catalogue_edits")
    providers: dict[str, Fields] = {}
    models: dict[str, Fields] = {}
    package = catalog()
    known = {row.name for row in package.providers} | {model.ref for model in package.models}
    for row in rows:
        columns: dict[str, Any] = json.loads(row["fields"], parse_float=Decimal)
        edited: list[str] = row["edited"]
        of_package = row["name"] in known
        if of_package:
            columns = {name: columns[name] for name in edited}
        if row["kind"] == "provider":
            providers[row["name"]] = _provider_fields(columns)
        else:
            models[row["name"]] = _model_fields(columns, is_new=row["is_new"] or not of_package)
    changed = with_changes(package, Changes(providers=providers, models=models))
    refused = tuple(f"penstock.llm_{mistake}" for mistake in changed.mistakes)
    return Edits(catalog=changed.catalog, changed=(*providers, *models), refused=refused)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        told = f"{CONFIG_VARIABLE}: {path} cannot be read: {error.strerror}"
        raise ConfigurationError(told) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None


def _provider_fields(columns: Mapping[str, Any]) -> Fields:
    fields = {_PROVIDER_FIELDS.get(name, name): value for name, value in columns.items()}
    return {name: value for name, value in fields.items() if name in Provider.model_fields}


def _model_fields(columns: Mapping[str, Any], *, is_new: bool) -> Fields:
    """`is_active` is an operator's word where it differs from what was seeded.

    A row of their own has it true unasked: then it follows `retires_on`.
    """
    fields = {name: value for name, value in columns.items() if name in Model.model_fields}
    active = columns.get("is_active")
    return fields if active is None or (is_new and active) else {**fields, "active": active}
