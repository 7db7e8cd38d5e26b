"""Where a provider is and with which key: the environment first, then a `.env` file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from penstock_schemas.catalog import MODEL_PLACEHOLDER, Provider
from penstock_schemas.errors import ConfigurationError, MissingKey


@dataclass(frozen=True, slots=True)
class Access:
    """A provider's address and platform key; the key never shows in a repr."""

    base_url: str
    api_key: str | None = field(repr=False)


def environment(environ: Mapping[str, str], *, folder: Path) -> dict[str, str]:
    """The process's environment over what a `.env` file in `folder` says; empty is unset."""
    stored = dotenv_values(folder / ".env")
    given = {name: value for name, value in environ.items() if value}
    return {name: value for name, value in stored.items() if value} | given


def base_url_variable(provider: str) -> str:
    """The variable that points a provider elsewhere: a proxy, LM Studio, a test server."""
    return f"PENSTOCK_{re.sub('[^A-Z0-9]', '_', provider.upper())}_BASE_URL"


def access_to(provider: Provider, variables: Mapping[str, str]) -> Access:
    """Address and key of a provider. The address may hold `{model}`, which each call fills in.

    Raises MissingKey or ConfigurationError, naming the variable to set.
    """
    override = base_url_variable(provider.name)
    base_url = (variables.get(override) or provider.base_url).rstrip("/")
    if "{" in base_url.replace(MODEL_PLACEHOLDER, ""):
        raise ConfigurationError(f"provider {provider.name} has no fixed address: set {override}")
    if not base_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{override} must start with http:// or https://")
    key = next((variables[name] for name in provider.key_variables if variables.get(name)), None)
    if key is None and provider.needs_key:
        raise MissingKey(provider.name, provider.key_variables)
    return Access(base_url, key)
