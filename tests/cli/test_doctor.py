"""What doctor makes of what it finds; and one whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_client.catalogue import Edits
from penstock_client.cli.checks import (
    judge_edits,
    judge_latency,
    judge_postgres,
    judge_redis,
)
from penstock_client.cli.provider_checks import (
    COUNTED_JOBS,
    Check,
    Found,
    ProviderState,
    judge_indexes,
    judge_keys,
    judge_steward,
    judge_workers,
)
from penstock_schemas.catalog import catalog

GOOD_REDIS = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": 1}


def statuses(checks: list[Check]) -> list[str]:
    return [check.status for check in checks]


def found(steward: str | None = "s", **state: Any) -> Found:
    fields = {"provider": "openai", "index": "open", "workers": 1, "live": 0, **state}
    return Found(steward, [ProviderState(**fields)])


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ["ok", "ok", "ok"]),
        ({"redis_version": "6.0.16"}, ["fail", "ok", "ok"]),
        ({"maxmemory_policy": "allkeys-lru"}, ["ok", "fail", "ok"]),
        ({"aof_enabled": 0}, ["ok", "ok", "warn"]),
    ],
)
def test_redis_is_judged_by_its_info(changes: dict[str, Any], wanted: list[str]) -> None:
    assert statuses(judge_redis(GOOD_REDIS | changes, saves=True)) == wanted


@pytest.mark.parametrize(
    ("version", "pending", "wanted"),
    [
        ("14.1", [], ["ok", "ok"]),
        ("13.9", [], ["fail", "ok"]),
        ("18.0", ["0002_x"], ["ok", "fail"]),
    ],
)
def test_postgres_is_judged_by_version_and_migrations(
    version: str, pending: list[str], wanted: list[str]
) -> None:
    assert statuses(judge_postgres(version, pending)) == wanted


def test_slow_server_is_a_warning() -> None:
    assert (judge_latency("Redis", 0.3).status, judge_latency("Redis", 80).status) == ("ok", "warn")


def test_absent_steward_is_a_warning() -> None:
    assert judge_steward(found(steward=None)).status == "warn"


@pytest.mark.parametrize(
    ("index", "status"), [("open", "ok"), ("rebuilding", "warn"), ("stale", "warn"), ("", "warn")]
)
def test_index_that_is_not_open_is_a_warning(index: str, status: str) -> None:
    assert statuses(judge_indexes(found(index=index))) == [status]


def test_jobs_without_a_worker_name_the_command() -> None:
    (check,) = judge_workers(found(workers=0, live=COUNTED_JOBS + 1))
    assert check.status == "warn"
    assert "1000+ jobs" in check.found
    assert check.remedy == "run `penstock worker --provider openai`"


def test_a_pause_is_a_warning_with_its_reason(run, servers, empty: object) -> None:
    run("pause", "--provider", "openai", "--reason", "maintenance")
    report = orjson.loads(run("doctor", "--json").out)
    (check,) = [check for check in report["checks"] if check["name"] == "pause"]
    assert check["status"] == "warn"
    assert check["found"].startswith("openai since ") and check["found"].endswith(": maintenance")
    assert "`penstock resume`" in check["remedy"]


def test_keys_are_named_and_never_shown() -> None:
    checks = judge_keys({"OPENAI_API_KEY": "sk-secret"}, catalog(), live={"anthropic"})
    by_name = {check.name: check for check in checks}
    assert by_name["key openai"].status == "ok"
    assert by_name["key anthropic"].status == "warn"
    assert "OPENAI_API_KEY" in by_name["key openai"].found
    assert "sk-secret" not in repr(checks)


def test_doctor_passes_on_a_migrated_stack(run, servers) -> None:
    ran = run("doctor", "--json")
    report = orjson.loads(ran.out)
    assert (ran.code, report["ok"]) == (0, True)
    assert {"Redis version", "migrations", "steward"} <= {
        check["name"] for check in report["checks"]
    }


def configuration_of(ran: Any) -> Any:
    by_name = {check["name"]: check for check in orjson.loads(ran.out)["checks"]}
    return by_name["configuration"]


def test_doctor_says_which_file_is_in_force(
    run, servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "as packaged" in configuration_of(run("doctor", "--json"))["found"]
    (tmp_path / "penstock.toml").write_text("[providers.openai]\ntimeout_s = 5\n")
    check = configuration_of(run("doctor", "--json"))
    assert (check["status"], check["found"]) == (
        "ok",
        "penstock.toml: 1 providers, 0 models, 0 capabilities",
    )


def test_doctor_names_every_mistake_of_the_file(
    run, servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[defaults]\ntimeout = 5\n[providers.openai]\nretries = 1\n")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(file))
    ran = run("doctor", "--json")
    check = configuration_of(ran)
    assert (ran.code, check["status"]) == (1, "fail")
    assert "defaults.timeout: " in check["found"]
    assert "providers.openai.retries: " in check["found"]


@pytest.mark.parametrize(
    ("changed", "refused", "status"),
    [((), (), "ok"), (("openai/gpt-4o",), (), "ok"), ((), ("llm_models.x: wrong",), "warn")],
)
def test_rows_of_the_catalogue_are_judged(
    changed: tuple[str, ...], refused: tuple[str, ...], status: str
) -> None:
    check = judge_edits(Edits(catalog=catalog(), changed=changed, refused=refused))
    assert check.status == status
    assert all(name in check.found for name in changed + refused)


def test_doctor_fails_without_redis(run, servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_REDIS_URL", "redis://127.0.0.1:1")
    ran = run("doctor")
    assert ran.code == 1
    assert "correct PENSTOCK_REDIS_URL" in ran.out
