"""Settings: where they come from, and what is told when one is missing or wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_client import ConfigurationError, Penstock, Settings

REDIS, DATABASE = "redis://127.0.0.1:1/0", "postgresql://127.0.0.1:1/penstock"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("REDIS_URL", "DATABASE_URL", "HOME", "DEADLINE_S", "STATEMENT_CACHE_SIZE"):
        monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_REDIS_URL", REDIS)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", DATABASE)
    monkeypatch.setenv("PENSTOCK_DEADLINE_S", "2.5")
    settings = Settings()
    assert (settings.require_redis(), settings.require_database()) == (REDIS, DATABASE)
    assert settings.deadline_s == 2.5


def test_settings_come_from_the_env_file_after_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f"PENSTOCK_REDIS_URL={REDIS}\nPENSTOCK_DATABASE_URL=postgresql://file/x\nOTHER=1\n"
    )
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", DATABASE)
    settings = Settings()
    assert (settings.redis_url, settings.database_url) == (REDIS, DATABASE)


def test_settings_have_a_home_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert Settings().home == tmp_path / ".penstock"


@pytest.mark.parametrize("url", [None, ""])
def test_settings_without_redis_name_the_variable(url: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_REDIS_URL is not set: .*penstock up"):
        Settings(redis_url=url).require_redis()


@pytest.mark.parametrize("url", [None, ""])
def test_settings_without_a_database_name_the_variable(url: str | None) -> None:
    told = r"PENSTOCK_DATABASE_URL is not set: .*penstock up"
    with pytest.raises(ConfigurationError, match=told):
        Settings(database_url=url).require_database()


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://x", "postgresql://x/y"])
def test_settings_with_another_kind_of_redis_url_say_which_are_taken(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_REDIS_URL must start with redis://"):
        Settings(redis_url=url).require_redis()


@pytest.mark.parametrize("url", ["redis://x", "mysql://x/y", "localhost/db"])
def test_settings_with_another_kind_of_database_url_say_which_are_taken(url: str) -> None:
    with pytest.raises(ConfigurationError, match="PENSTOCK_DATABASE_URL must start with postgres"):
        Settings(database_url=url).require_database()


@pytest.mark.parametrize("url", ["redis://x", "rediss://x", "unix:///x"])
def test_settings_take_every_kind_of_redis_url(url: str) -> None:
    assert Settings(redis_url=url).require_redis() == url


@pytest.mark.parametrize("url", ["postgresql://u:p@h/d", "postgres:///d?host=/run"])
def test_settings_take_every_kind_of_database_url(url: str) -> None:
    assert Settings(database_url=url).require_database() == url


def test_settings_that_are_refused_do_not_show_a_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(redis_url="http://user:hunter2@x").require_redis()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("deadline_s", "0"), ("deadline_s", "soon"), ("statement_cache_size", "-1")]
)
def test_settings_out_of_bounds_are_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PENSTOCK_{name.upper()}", value)
    with pytest.raises(ValueError, match=name):
        Settings()


# Connecting.


def test_connect_prefers_what_it_is_given() -> None:
    settings = Settings(redis_url="redis://elsewhere", database_url=DATABASE, deadline_s=3)
    penstock = Penstock.connect(redis_url=REDIS, settings=settings)
    assert (penstock.settings.redis_url, penstock.settings.database_url) == (REDIS, DATABASE)
    assert penstock.settings.deadline_s == 3


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({"redis_url": REDIS}, "PENSTOCK_DATABASE_URL"),
        ({"database_url": DATABASE}, "PENSTOCK_REDIS_URL"),
    ],
)
async def test_connect_without_a_setting_names_the_variable(
    given: dict[str, str], variable: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable} is not set"):
        async with Penstock.connect(**given):
            pass
