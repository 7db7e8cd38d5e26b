"""`penstock webhooks`, and what `doctor` says of webhooks."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from penstock_client import Penstock, Settings
from penstock_client.cli.webhook_checks import judge_webhooks
from penstock_client.sealing import sealing_id
from penstock_worker.keyring import PrivateKey
from tests.cli.conftest import Run

URL = "https://hooks.example/penstock"


@pytest.fixture
def acme(empty: Settings, servers: None) -> Settings:
    """A stack that has the workspace `acme`, and a workers' public key."""

    async def make() -> None:
        async with Penstock.connect(settings=empty) as penstock:
            await penstock.workspaces.create("acme")
            public = PrivateKey.new().public
            await penstock.ledger.pool.execute(
                "insert into penstock.sealing_keys (id, public_key) values ($1, $2)",
                sealing_id(public),
                public,
            )

    asyncio.run(make())
    return empty


@pytest.fixture
def event_id(run: Run, acme: Settings) -> str:
    """A test event of acme, which nobody sends."""
    tested = run("webhooks", "test", "acme", URL, "--timeout-s", "0", "--json")
    assert tested.code == 1
    return json.loads(tested.out)["event_id"]


def change(settings: Settings, sql: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(settings.require_database())
        await connection.execute(sql)
        await connection.close()

    asyncio.run(execute())


@pytest.mark.parametrize("command", ["", "secret", "secrets", "list", "show", "retry", "test"])
def test_help_ends_in_an_example(run: Run, command: str) -> None:
    ran = run("webhooks", *filter(None, [command]), "--help")
    assert ran.out.rstrip().splitlines()[-1].strip().startswith("Example: penstock webhooks")


def test_secret_is_alone_on_stdout_and_never_shown_again(run: Run, acme: Settings) -> None:
    made = run("webhooks", "secret", "acme")
    assert made.out.startswith("whsec_") and len(made.out.splitlines()) == 1
    assert made.out.strip() not in run("webhooks", "secrets", "acme", "--json").out
    again = run("webhooks", "secret", "acme")
    assert (again.code, again.out) == (2, "")
    assert "--rotate" in again.err


def test_rotation_keeps_two_in_force(run: Run, acme: Settings) -> None:
    run("webhooks", "secret", "acme")
    for _ in range(2):
        rotated = run("webhooks", "secret", "acme", "--rotate", "--json")
        assert json.loads(rotated.out)["secret"].startswith("whsec_")
    listed = json.loads(run("webhooks", "secrets", "acme", "--json").out)
    assert [one["expires_at"] is None for one in listed] == [True, False]


def test_secret_before_any_worker_says_what_to_do(run: Run, acme: Settings) -> None:
    change(acme, "delete from penstock.sealing_keys")
    ran = run("webhooks", "secret", "acme")
    assert ran.code == 2
    assert "penstock keys generate" in ran.err


def test_list_says_why_a_delivery_waits(run: Run, acme: Settings, event_id: str) -> None:
    listed = run("webhooks", "list", "acme")
    assert event_id in listed.out
    assert "a signing secret: `penstock webhooks secret acme`" in listed.out
    assert run("webhooks", "list", "acme", "--state", "given_up", "--json").out.strip() == "[]"


def test_show_and_retry_tell_of_one(run: Run, acme: Settings, event_id: str) -> None:
    for command in ("show", "retry"):
        shown = json.loads(run("webhooks", command, event_id, "--json").out)
        assert (shown["type"], shown["url"], shown["state"]) == ("webhook.test", URL, "waiting")
    assert URL in run("webhooks", "show", event_id).out


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("list", "nobody"), 2, "nobody"),
        (("list", "acme", "--before", "x"), 2, "event ID"),
        (("list", "acme", "--subject", "x"), 2, "not the ID"),
        (("show", "evt_00000000000000000000000000000000"), 1, "does not exist"),
        (("show", "x"), 2, "event ID"),
        (("test", "acme", "http://127.0.0.1/"), 2, "PENSTOCK_WEBHOOK_PRIVATE"),
        (("test", "acme", "nowhere"), 2, "webhook"),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    run: Run, acme: Settings, args: tuple[str, ...], code: int, told: str
) -> None:
    ran = run("webhooks", *args)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err and len(ran.err.splitlines()) == 1


def test_submit_takes_a_webhook(run: Run, acme: Settings) -> None:
    job = ("submit", "-w", "acme", "-c", "generate", "--prompt", "Hi", "--webhook")
    assert run(*job, URL).code == 0
    assert "webhook" in run(*job, "http://10.0.0.1/").err


def test_doctor_tells_of_deliveries_that_wait(run: Run, acme: Settings, event_id: str) -> None:
    change(acme, "update penstock.deliveries set next_at = now() - interval '5 minutes'")
    checks = json.loads(run("doctor", "--json").out)["checks"]
    (found,) = [check for check in checks if check["name"] == "webhooks"]
    assert (found["status"], found["found"]) == (
        "warn",
        "1 deliveries wait: their workspaces have no signing secret",
    )


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({}, "ok", "nothing waits"),
        ({"given_up": 2}, "warn", "2 deliveries were given up"),
        ({"late": 3}, "warn", "3 deliveries have been due"),
        ({"late": 3, "problem": "no keys here"}, "warn", "no keys here"),
    ],
)
def test_judge_webhooks_says_what_is_the_matter(
    changes: dict[str, object], status: str, told: str
) -> None:
    none = {"late": 0, "given_up": 0, "without_secret": 0, "problem": None}
    found = judge_webhooks({**none, **changes})
    assert found.status == status
    assert told in found.found
