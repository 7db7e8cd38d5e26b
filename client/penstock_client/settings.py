"""Settings from the environment; read once, by whoever composes a process.

The environment goes first, then a `.env` file in the working directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock_schemas.errors import ConfigurationError

REDIS_VARIABLE = "PENSTOCK_REDIS_URL"
DATABASE_VARIABLE = "PENSTOCK_DATABASE_URL"
CONFIG_VARIABLE = "PENSTOCK_CONFIG"
URL_VARIABLE = "PENSTOCK_URL"
TOKEN_VARIABLE = "PENSTOCK_TOKEN"  # noqa: S105 - the name of the variable
#: Read from the working directory where `PENSTOCK_CONFIG` names no other file.
CONFIG_FILE = Path("penstock.toml")
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
_DATABASE_SCHEMES = ("postgresql://", "postgres://")


class Settings(BaseSettings):
    """Where Penstock's servers and its configuration file are, and how patiently servers are asked.

    `deadline_s` bounds every await on Redis or Postgres. Set `statement_cache_size` to 0 behind a
    PgBouncer older than 1.21 in transaction mode; prepared statements are not safe there. Workers
    that start try their key with one tiny call, unless `smoke_test` is off. Workers and stewards
    serve metrics where `metrics_port` is set, to this machine unless `metrics_host` says otherwise.
    `metrics_open` lets anybody read the gateway's. Where `public_key` is set, workspaces' keys are
    sealed to that key of the workers and no other. Stewards drop attempts, prompts and answers of
    jobs that are older than `keep_weeks`; None keeps them. The gateway takes bodies of at most
    `max_body_bytes`, which have to come within `body_timeout_s`. Webhooks lead to private addresses
    only where `webhook_private` is `allow`. `url` and `token` are for producers that reach a
    gateway and no servers.
    """

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_", env_file=".env", extra="ignore", hide_input_in_errors=True
    )

    redis_url: str | None = None
    database_url: str | None = None
    config: Path | None = None
    home: Path = Field(default_factory=lambda: Path.home() / ".penstock")
    deadline_s: float = Field(default=10.0, gt=0)
    statement_cache_size: int = Field(default=200, ge=0)
    smoke_test: bool = True
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    metrics_host: str = "127.0.0.1"
    metrics_open: bool = False
    max_body_bytes: int = Field(default=10 * 2**20, ge=1024)
    body_timeout_s: float = Field(default=60.0, gt=0)
    keep_weeks: int | None = Field(default=None, ge=1, le=5200)
    public_key: str | None = None
    webhook_private: Literal["refuse", "allow"] = "refuse"
    url: str | None = None
    token: str | None = Field(default=None, repr=False)

    @classmethod
    def load(cls) -> Settings:
        """The settings of this process; raises ConfigurationError that names the variable."""
        try:
            return cls()
        except ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            variable = f"PENSTOCK_{detail['loc'][0]}".upper()
            raise ConfigurationError(f"{variable}: {detail['msg']}") from None

    def with_metrics_port(self, port: int | None) -> Settings:
        """The same with another port for metrics; None leaves it as it is."""
        return self if port is None else self.model_copy(update={"metrics_port": port})

    @property
    def config_file(self) -> Path | None:
        """The configuration file to read, None where none is named and none is at hand."""
        if self.config is not None and self.config != Path():
            return self.config
        return CONFIG_FILE if CONFIG_FILE.is_file() else None

    @property
    def is_remote(self) -> bool:
        """Whether there is a gateway to ask, and no server is named."""
        return bool(self.url) and not (self.redis_url or self.database_url)

    def require_redis(self) -> str:
        """The Redis URL; raises ConfigurationError that names the variable."""
        return _checked(self.redis_url, REDIS_VARIABLE, _REDIS_SCHEMES)

    def require_database(self) -> str:
        """The Postgres URL; raises ConfigurationError that names the variable."""
        return _checked(self.database_url, DATABASE_VARIABLE, _DATABASE_SCHEMES)


def _checked(url: str | None, variable: str, schemes: tuple[str, ...]) -> str:
    if not url:
        raise ConfigurationError(
            f"{variable} is not set: start a stack with `penstock up` and export what it prints"
        )
    if not url.startswith(schemes):
        raise ConfigurationError(f"{variable} must start with {' or '.join(schemes)}")
    return url
