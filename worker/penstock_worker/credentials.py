"""Where a provider is and with which key: the environment first, then a `.env` file.

A workspace's own key goes before the platform's; only here is it ever opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from penstock_schemas.catalog import MODEL_PLACEHOLDER, Provider
from penstock_schemas.errors import ConfigurationError, MissingKey
from penstock_worker.keyring import CannotOpen, Keyring


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
    access = address_of(provider, variables)
    if access.api_key is None and provider.needs_key:
        raise MissingKey(provider.name, provider.key_variables)
    return access


def address_of(provider: Provider, variables: Mapping[str, str]) -> Access:
    """As `access_to`, without a key where there is none. Raises ConfigurationError."""
    override = base_url_variable(provider.name)
    base_url = (variables.get(override) or provider.base_url).rstrip("/")
    if "{" in base_url.replace(MODEL_PLACEHOLDER, ""):
        raise ConfigurationError(f"provider {provider.name} has no fixed address: set {override}")
    if not base_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{override} must start with http:// or https://")
    key = next((variables[name] for name in provider.key_variables if variables.get(name)), None)
    return Access(base_url, key)


class NoPlatformKey(Exception):
    """A job is to use the platform's key, and this worker has none."""


class Accesses:
    """Which access each call of one provider's worker has: its workspace's, else the platform's."""

    def __init__(self, provider: Provider, platform: Access, keyring: Keyring) -> None:
        self._provider, self._platform, self._keyring = provider, platform, keyring

    @property
    def platform(self) -> Access | None:
        """The platform's access, None where its key is missing."""
        missing = self._platform.api_key is None and self._provider.needs_key
        return None if missing else self._platform

    def of(self, workspace: str, sealed: bytes | None) -> Access:
        """With the key that a workspace sealed for this provider; raises CannotOpen, NoPlatformKey.

        A key that does not open is tried again after another look at the key file.
        """
        if sealed is None:
            if self.platform is None:
                raise NoPlatformKey
            return self.platform
        provider = self._provider.name
        try:
            api_key = self._keyring.open(sealed, workspace=workspace, provider=provider)
        except CannotOpen:
            if not self._keyring.refresh():
                raise
            api_key = self._keyring.open(sealed, workspace=workspace, provider=provider)
        return Access(self._platform.base_url, api_key)
