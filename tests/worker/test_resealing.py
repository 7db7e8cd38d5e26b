"""Publishing and re-sealing: repeatable, safe side by side, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock_client import Settings
from penstock_client.ledger import Ledger
from penstock_client.sealing import seal
from penstock_client.webhooks.service import SEALED_AS
from penstock_worker import resealing
from penstock_worker.keyring import Keyring, PrivateKey
from penstock_worker.resealing import KeyCare

OLD, NEW = PrivateKey.new(), PrivateKey.new()
COUNT = 25


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "_PAGE", 10)


@pytest.fixture
async def ledger(empty: Settings) -> AsyncIterator[Ledger]:
    """With one key each of many workspaces, sealed to the old key."""
    opened = await Ledger.connect(empty)
    await KeyCare(opened, Keyring([OLD])).look()
    for number in range(COUNT):
        workspace = f"w{number}"
        await opened.create_workspace(workspace, routing={}, monthly_tokens=None)
        blob = seal(f"sk-{number}", OLD.public, workspace=workspace, provider="openai")
        await opened.fetch("set_provider_key", workspace, "openai", blob, OLD.id, "key-1", True, "")
    yield opened
    await opened.close()


async def stored(ledger: Ledger, pair: PrivateKey) -> dict[str, str]:
    """What a key opens of all that is stored."""
    rows = await ledger.pool.fetch(
        "select * from penstock.provider_keys where sealed_to = $1", pair.id
    )
    ring = Keyring([pair])
    return {
        row["workspace_id"]: ring.open(
            row["sealed"], workspace=row["workspace_id"], provider="openai"
        )
        for row in rows
    }


async def in_use(ledger: Ledger) -> str:
    return (await ledger.fetch("newest_sealing_key"))[0]["id"]


WHOLE = {f"w{number}": f"sk-{number}" for number in range(COUNT)}


async def test_a_new_newest_key_is_published_and_everything_sealed_to_it(ledger: Ledger) -> None:
    await KeyCare(ledger, Keyring([NEW, OLD])).look()
    assert await in_use(ledger) == NEW.id
    assert await stored(ledger, NEW) == WHOLE


async def test_workers_side_by_side_seal_each_key_once(ledger: Ledger) -> None:
    cares = [KeyCare(ledger, Keyring([NEW, OLD])) for _ in range(3)]
    await ledger.fetch("publish_sealing_key", NEW.id, NEW.public, [OLD.id])
    done = await asyncio.gather(*(care.reseal() for care in cares))
    assert sum(done) == COUNT and await stored(ledger, NEW) == WHOLE


async def test_sealing_again_changes_nothing(ledger: Ledger) -> None:
    care = KeyCare(ledger, Keyring([NEW, OLD]))
    await care.look()
    assert await care.reseal() == 0


async def test_a_worker_that_is_behind_neither_publishes_nor_seals(ledger: Ledger) -> None:
    await KeyCare(ledger, Keyring([NEW, OLD])).look()
    behind = KeyCare(ledger, Keyring([OLD]))
    await behind.look()
    assert await in_use(ledger) == NEW.id and await behind.reseal() == 0
    assert await stored(ledger, NEW) == WHOLE


async def test_a_stray_key_does_not_take_over(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await KeyCare(ledger, Keyring([NEW])).look()  # without the one in use
    assert await in_use(ledger) == OLD.id
    assert "keyring.behind" in caplog.text


async def test_a_lost_key_is_forgotten_with_all_that_was_sealed_to_it(ledger: Ledger) -> None:
    (gone,) = await ledger.fetch("forget_sealing_key", OLD.id)
    await KeyCare(ledger, Keyring([NEW])).look()
    assert (gone["keys"], await in_use(ledger)) == (COUNT, NEW.id)
    assert await ledger.fetch("forget_sealing_key", OLD.id) == []


async def test_what_cannot_be_opened_stays_and_the_rest_is_sealed(ledger: Ledger) -> None:
    copied = (await ledger.fetch("sealed_provider_key", "w1", "openai"))[0]["sealed"]
    await ledger.pool.execute(
        "update penstock.provider_keys set sealed = $1 where workspace_id = 'w2'", copied
    )
    await KeyCare(ledger, Keyring([NEW, OLD])).look()
    assert await stored(ledger, NEW) == {name: key for name, key in WHOLE.items() if name != "w2"}


async def test_a_key_set_meanwhile_is_not_overwritten(ledger: Ledger) -> None:
    blob = (await ledger.fetch("sealed_provider_key", "w1", "openai"))[0]["sealed"]
    newer = seal("sk-newer", OLD.public, workspace="w1", provider="openai")
    await ledger.fetch("set_provider_key", "w1", "openai", newer, OLD.id, "key-2", True, "")
    await ledger.fetch("publish_sealing_key", NEW.id, NEW.public, [OLD.id])
    assert await ledger.fetch("reseal_provider_key", "w1", "openai", blob, b"", NEW.id) == []


async def test_a_retired_key_cannot_be_sealed_to(ledger: Ledger) -> None:
    await KeyCare(ledger, Keyring([NEW, OLD])).look()
    await ledger.fetch("retire_sealing_keys", [OLD.id])
    blob = seal("sk", OLD.public, workspace="w1", provider="mistral")
    args = ("w1", "mistral", blob, OLD.id, "key-3", None, None)
    assert await ledger.fetch("set_provider_key", *args) == []


async def test_a_key_in_use_is_not_retired(ledger: Ledger) -> None:
    assert await ledger.fetch("retire_sealing_keys", [OLD.id]) == []


async def test_reseal_takes_the_secrets_of_webhooks_along(ledger: Ledger) -> None:
    sealed = seal("whsec_1", OLD.public, workspace="w0", provider=SEALED_AS)
    await ledger.fetch("webhook_secret_set", "w0", "whs-1", sealed, OLD.id, False, 0.0)
    await KeyCare(ledger, Keyring([NEW, OLD])).look()
    (row,) = await ledger.fetch("webhook_sealed_secrets", "w0")
    opened = Keyring([NEW]).open(row["sealed"], workspace="w0", provider=SEALED_AS)
    assert opened == "whsec_1"


async def test_sealing_key_of_a_webhook_secret_is_not_retired(ledger: Ledger) -> None:
    sealed = seal("whsec_1", OLD.public, workspace="w0", provider=SEALED_AS)
    await ledger.fetch("webhook_secret_set", "w0", "whs-1", sealed, OLD.id, False, 0.0)
    await ledger.pool.execute("delete from penstock.provider_keys")
    assert await ledger.fetch("retire_sealing_keys", [OLD.id]) == []
