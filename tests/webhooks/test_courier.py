"""Deliveries end to end: signed, retried, in order, once at a time, and nobody starves."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from penstock_client import Penstock, Settings
from penstock_client.webhooks import verify
from penstock_schemas.webhooks import DeliveryState
from penstock_worker.keyring import Keyring, PrivateKey
from penstock_worker.webhooks.courier import KEYLESS, Courier
from penstock_worker.webhooks.rooms import PER_HOST
from penstock_worker.webhooks.schedule import DELAYS_S
from penstock_worker.webhooks.sending import Sending
from tests.webhooks.conftest import Deliveries
from tests.webhooks.receiver import Receiver


async def test_delivery_is_signed_and_named(
    deliveries: Deliveries, receiver: Receiver, secret: str
) -> None:
    subject = uuid4()
    await deliveries.note(subject, receiver.url("/a?b=1"))
    await deliveries.turn()
    (got,) = receiver.got
    event = verify(got.headers, got.body, secret)
    (shown,) = await deliveries.all()
    assert (got.path, got.headers["host"]) == ("/a?b=1", f"127.0.0.1:{receiver.port}")
    assert event.id == shown.event_id
    assert event.data == {
        "job_id": str(subject),
        "workspace": "acme",
        "sequence": 1,
        "status": "failed",
    }
    assert shown.state is DeliveryState.DELIVERED
    assert (shown.attempts, shown.last_status, shown.next_at) == (1, 200, None)
    assert shown.payload == got.body.decode()


async def test_failure_is_retried_with_the_same_event(
    deliveries: Deliveries, receiver: Receiver, secret: str
) -> None:
    statuses = iter([500, 302, 200])
    receiver.answer = lambda _: next(statuses)
    await deliveries.note(uuid4(), receiver.url())
    for _ in range(3):
        await deliveries.turn()
        await deliveries.make_due()
    first, *others = receiver.got
    assert all((each.event_id, each.body) == (first.event_id, first.body) for each in others)
    assert all(verify(each.headers, each.body, secret) for each in receiver.got)
    assert (await deliveries.all())[0].state is DeliveryState.DELIVERED


async def test_failure_waits_and_says_why(deliveries: Deliveries, receiver: Receiver) -> None:
    receiver.answer = lambda _: 500
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    await deliveries.turn()
    (shown,) = await deliveries.all()
    assert len(receiver.got) == 1
    assert (shown.state, shown.attempts, shown.last_error) == (
        DeliveryState.WAITING,
        1,
        "HTTP 500",
    )
    assert shown.last_attempt_at is not None and shown.next_at is not None
    waits_s = (shown.next_at - shown.last_attempt_at).total_seconds()
    assert waits_s == pytest.approx(DELAYS_S[0])


async def test_delivery_is_given_up_after_its_last_attempt(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 404
    await deliveries.note(uuid4(), receiver.url())
    for _ in range(len(DELAYS_S) + 3):
        await deliveries.turn()
        await deliveries.make_due()
    (shown,) = await deliveries.all()
    assert (shown.state, shown.attempts) == (DeliveryState.GIVEN_UP, len(DELAYS_S) + 1)
    assert len(receiver.got) == len(DELAYS_S) + 1


async def test_gone_is_given_up_at_once(deliveries: Deliveries, receiver: Receiver) -> None:
    receiver.answer = lambda _: 410
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    assert (await deliveries.all())[0].state is DeliveryState.GIVEN_UP


async def test_redirect_is_not_followed(deliveries: Deliveries, receiver: Receiver) -> None:
    async with Receiver() as elsewhere:
        receiver.answer, receiver.headers = lambda _: 307, {"location": elsewhere.url()}
        await deliveries.note(uuid4(), receiver.url())
        await deliveries.turn()
        assert elsewhere.got == []
    assert "redirects are not followed" in str((await deliveries.all())[0].last_error)


async def test_receiver_that_never_answers_is_retried(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    receiver.answer = lambda _: None
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    (shown,) = await deliveries.all()
    assert shown.state is DeliveryState.WAITING
    assert "answer" in str(shown.last_error)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9/hook", "connect"),
        ("http://no-such-host.invalid/hook", "leads nowhere"),
        ("http://1.1.1.1/hook", "needs https"),
    ],
)
async def test_unreachable_receiver_is_told_and_retried(
    deliveries: Deliveries, url: str, told: str
) -> None:
    await deliveries.note(uuid4(), url)
    await deliveries.turn()
    (shown,) = await deliveries.all()
    assert shown.state is DeliveryState.WAITING
    assert told in str(shown.last_error)


async def test_events_of_a_subject_come_in_order(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    subject = uuid4()
    statuses = iter([500, 200, 200, 200])
    receiver.answer = lambda _: next(statuses)
    for _ in range(3):
        await deliveries.note(subject, receiver.url())
    await deliveries.turn()
    shown = await deliveries.all()
    assert [each.waits_for for each in shown[1:]] == ["an earlier event of the same subject"] * 2
    for _ in range(4):
        await deliveries.make_due()
        await deliveries.turn()
    assert [each.data["sequence"] for each in receiver.got] == [1, 1, 2, 3]


async def test_next_event_goes_on_after_one_that_was_given_up(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    subject = uuid4()
    statuses = iter([410, 200])
    receiver.answer = lambda _: next(statuses)
    for _ in range(2):
        await deliveries.note(subject, receiver.url())
        await deliveries.turn()
    await deliveries.turn()
    assert [each.data["sequence"] for each in receiver.got] == [1, 2]
    assert [each.state for each in await deliveries.all()] == [
        DeliveryState.GIVEN_UP,
        DeliveryState.DELIVERED,
    ]


async def test_retry_sends_what_was_given_up(deliveries: Deliveries, receiver: Receiver) -> None:
    statuses = iter([410, 200])
    receiver.answer = lambda _: next(statuses)
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    again = await deliveries.penstock.webhooks.retry((await deliveries.all())[0].event_id)
    assert again.state is DeliveryState.WAITING
    await deliveries.turn()
    assert len({each.event_id for each in receiver.got}) == 1
    assert (await deliveries.all())[0].state is DeliveryState.DELIVERED


async def test_retry_waits_for_the_event_that_is_on_its_way(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    subject = uuid4()
    receiver.answer = lambda got: 410 if got.data["sequence"] == 1 else None
    for _ in range(2):
        await deliveries.note(subject, receiver.url())
        await deliveries.turn()
    await deliveries.make_due()
    await deliveries.courier.turn()  # the second one is being sent
    await receiver.wait_for(3)
    first, second = await deliveries.all()
    assert second.sending
    retried = await deliveries.penstock.webhooks.retry(first.event_id)
    assert (retried.next_at, retried.state) == (None, DeliveryState.WAITING)
    await deliveries.courier.idle()


async def test_couriers_share_without_sending_twice(
    deliveries: Deliveries,
    receiver: Receiver,
    penstock: Penstock,
    settings: Settings,
    private_key: PrivateKey,
) -> None:
    for _ in range(40):
        await deliveries.note(uuid4(), receiver.url())
    other = Courier(penstock, settings, Keyring([private_key]))
    for _ in range(6):
        await asyncio.gather(deliveries.courier.turn(), other.turn())
        await asyncio.gather(deliveries.courier.idle(), other.idle())
    await other.close()
    assert len(receiver.got) == 40
    assert len({each.event_id for each in receiver.got}) == 40


async def test_delivery_of_a_lost_steward_is_sent_again(
    deliveries: Deliveries, receiver: Receiver, db: asyncpg.Connection
) -> None:
    await deliveries.note(uuid4(), receiver.url())
    await db.execute(
        "update penstock.deliveries set lease = gen_random_uuid(), "
        "next_at = now() + interval '1 hour'"
    )
    await deliveries.turn()
    assert receiver.got == []
    await deliveries.make_due()
    await deliveries.turn()
    assert len(receiver.got) == 1


async def test_closing_gives_back_what_is_under_way(
    deliveries: Deliveries, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_worker.webhooks.courier._CLOSE_S", 0.0)
    receiver.answer = lambda _: None
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.courier.turn()
    await receiver.wait_for(1)
    await deliveries.courier.close()
    (shown,) = await deliveries.all()
    assert (shown.sending, shown.attempts, shown.state) == (False, 0, DeliveryState.WAITING)


async def test_dead_host_has_few_at_once_and_starves_nobody(
    deliveries: Deliveries, receiver: Receiver, db: asyncpg.Connection
) -> None:
    receiver.answer = lambda _: None
    await db.execute(
        "select penstock.note_delivery('acme', gen_random_uuid(), 'job.failed', $1, '{}') "
        "from generate_series(1, 10000)",
        receiver.url(),
    )
    async with Receiver() as well:
        await deliveries.note(uuid4(), well.url())
        await deliveries.courier.turn()
        assert len(await well.wait_for(1)) == 1
    for _ in range(3):
        await deliveries.courier.turn()
    await receiver.wait_for(PER_HOST)
    assert receiver.most_open == PER_HOST
    await deliveries.courier.idle()


async def test_rotation_signs_with_both(
    deliveries: Deliveries, receiver: Receiver, secret: str
) -> None:
    newer = await deliveries.penstock.webhooks.make_secret("acme", rotate=True)
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    (got,) = receiver.got
    assert len(got.headers["webhook-signature"].split()) == 2
    for each in (secret, newer.secret):
        assert verify(got.headers, got.body, each)


async def test_rotation_may_end_the_old_secret_at_once(
    deliveries: Deliveries, receiver: Receiver
) -> None:
    await deliveries.penstock.webhooks.make_secret("acme", rotate=True, keep_previous_h=0)
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    assert len(receiver.got[0].headers["webhook-signature"].split()) == 1


async def test_without_a_secret_deliveries_wait_and_say_so(
    deliveries: Deliveries, receiver: Receiver, db: asyncpg.Connection
) -> None:
    await db.execute("delete from penstock.webhook_secrets")
    await deliveries.note(uuid4(), receiver.url())
    await deliveries.turn()
    (shown,) = await deliveries.all()
    assert (receiver.got, shown.attempts) == ([], 0)
    assert "penstock webhooks secret acme" in str(shown.waits_for)
    await deliveries.penstock.webhooks.make_secret("acme")
    await deliveries.turn()
    assert len(receiver.got) == 1


async def test_without_private_keys_deliveries_wait_and_say_so(
    deliveries: Deliveries,
    receiver: Receiver,
    penstock: Penstock,
    settings: Settings,
    db: asyncpg.Connection,
) -> None:
    await deliveries.note(uuid4(), receiver.url())
    await db.execute("update penstock.deliveries set next_at = now() - interval '1 minute'")
    keyless = Courier(penstock, settings, Keyring())
    await keyless.turn()
    await keyless.close()
    (shown,) = await deliveries.all()
    assert (shown.waits_for, shown.attempts) == (KEYLESS, 0)
    await deliveries.turn()
    (shown,) = await deliveries.all()
    assert (shown.waits_for, len(receiver.got)) == (None, 1)


async def test_secret_that_does_not_open_keeps_deliveries_waiting(
    deliveries: Deliveries, receiver: Receiver, penstock: Penstock, settings: Settings
) -> None:
    await deliveries.note(uuid4(), receiver.url())
    stranger = Courier(penstock, settings, Keyring([PrivateKey.new()]))
    await stranger.turn()
    await stranger.idle()
    await stranger.close()
    (shown,) = await deliveries.all()
    assert (receiver.got, shown.attempts) == ([], 0)
    assert "no steward can open" in str(shown.waits_for)


async def test_private_address_is_refused_where_it_is_sent(
    penstock: Penstock,
    deliveries: Deliveries,
    receiver: Receiver,
    settings: Settings,
    private_key: PrivateKey,
) -> None:
    await deliveries.note(uuid4(), receiver.url().replace("http:", "https:"))
    strict = settings.model_copy(update={"webhook_private": "refuse"})
    courier = Courier(penstock, strict, Keyring([private_key]))
    await courier.turn()
    await courier.idle()
    await courier.close()
    (shown,) = await deliveries.all()
    assert receiver.open_now == 0
    assert "127.0.0.1, which is not public" in str(shown.last_error)


async def test_the_address_that_was_looked_at_is_connected_to(receiver: Receiver) -> None:
    """A name that leads elsewhere the second time finds nobody who asks again."""
    asked: list[str] = []

    async def resolve(host: str, port: int):
        from ipaddress import ip_address

        asked.append(host)
        return [ip_address("127.0.0.1")]

    sending = Sending(private="allow", resolve=resolve)
    outcome = await sending.post(f"http://hook.example:{receiver.port}/", b"{}", {})
    await sending.aclose()
    assert (outcome.status, asked) == (200, ["hook.example"])
    assert receiver.got[0].headers["host"] == f"hook.example:{receiver.port}"


async def test_old_deliveries_are_forgotten(
    deliveries: Deliveries, receiver: Receiver, db: asyncpg.Connection
) -> None:
    old, again, new = uuid4(), uuid4(), uuid4()
    for subject in (old, again, again, new):
        await deliveries.note(subject, receiver.url())
    await db.execute(
        "update penstock.deliveries "
        "set id = ('01900000' || right(replace(id::text, '-', ''), 24))::uuid "
        "where subject = $1 or (subject = $2 and sequence = 1)",
        old,
        again,
    )
    await deliveries.turn()
    subjects = [each.subject for each in await deliveries.all()]
    assert sorted(subjects) == sorted([str(again), str(again), str(new)])
