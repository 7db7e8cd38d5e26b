"""The heartbeat: renews a worker's leases from a thread and a connection of its own.

A busy event loop must not lose leases, so nothing here runs on it. The thread also watches the
index's epoch: when the index was lost, it writes at once what this worker still holds. And it looks
for jobs that have ended while their calls run, such as cancelled ones.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError, RedisError

from penstock_schemas.keys import ProviderKeys
from penstock_worker.admission.index import record_rest, renew_script
from penstock_worker.leases import LEASE_S, RENEW_S, Held, Lease

logger = logging.getLogger("penstock.worker")

#: How often the epoch and the ended jobs are looked at, in seconds.
_WATCH_S = 0.5
_BATCH = 500


class Heartbeat:
    """Keeps `held` leased, and marks as lost what somebody else holds by now."""

    def __init__(
        self,
        redis_url: str,
        *,
        provider: str,
        worker: str,
        held: Held,
        deadline_s: float,
    ) -> None:
        self._keys = ProviderKeys(provider)
        self._worker = worker
        self._held = held
        self._script = renew_script()
        self._redis: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            redis_url,
            socket_timeout=min(deadline_s, RENEW_S / 2),
            socket_connect_timeout=min(deadline_s, RENEW_S / 2),
        )
        self._stopped = threading.Event()
        self._stop_calls: Callable[[list[Lease]], object] = lambda _: None
        self._thread = threading.Thread(target=self._run, name="penstock-heartbeat", daemon=True)

    def start(self, *, stop_calls: Callable[[list[Lease]], object]) -> None:
        """Start the thread; it calls `stop_calls` once with each lease whose job has ended."""
        self._stop_calls = stop_calls
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; returns within seconds."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self._redis.close()

    def _run(self) -> None:
        epoch, state, renewed_at = "", "", 0.0
        while not self._stopped.wait(_WATCH_S):
            try:
                seen, stopping = self._look()
                if stopping:
                    self._look_for_ended()
                moved = seen != (state, epoch)
                if moved or time.monotonic() - renewed_at >= RENEW_S:
                    asked_at = time.monotonic()
                    self._renew(list(self._held.values()), seen[1])
                    renewed_at, (state, epoch) = asked_at, seen
            except (RedisError, OSError) as error:
                logger.warning("heartbeat.redis_away", extra={"reason": str(error)})
            except Exception:
                logger.exception("heartbeat.failed")

    def _look(self) -> tuple[tuple[str, str], bool]:
        """State and ID of the epoch, and whether there are calls to be stopped."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hmget(self._keys.epoch, "state", "id")
            pipeline.exists(self._keys.stopping)
            (state, epoch), stopping = pipeline.execute()
        return ((state or b"").decode(), (epoch or b"").decode()), bool(stopping)

    def _look_for_ended(self) -> None:
        """Have the calls stopped whose jobs have ended, each once."""
        leases = [lease for lease in list(self._held.values()) if not lease.stopped]
        if not leases:
            return
        keys = [lease.key for lease in leases]
        tokens: list[bytes | None] = self._redis.hmget(self._keys.stopping, keys)
        ended = [lease for lease, token in zip(leases, tokens, strict=True) if token == lease.token]
        for lease in ended:
            lease.stopped = True
        if ended:
            self._stop_calls(ended)

    def _renew(self, leases: list[Lease], epoch: str) -> None:
        """Renew in batches; also says that this worker is alive when it holds nothing."""
        lost: list[bytes] = []
        for first in range(0, max(len(leases), 1), _BATCH):
            asked_at = time.monotonic()
            batch = leases[first : first + _BATCH]
            gone = set(self._call(batch, epoch)[2:])
            for lease in batch:
                if lease.key not in gone:
                    lease.expires_at, lease.epoch = asked_at + LEASE_S, epoch
                elif self._held.get(lease.key) is lease:  # not given back meanwhile
                    lease.lost = True
                    lost.append(lease.key)
        if lost:
            logger.warning("lease.lost", extra={"worker": self._worker, "jobs": len(lost)})

    def _call(self, leases: Iterable[Lease], epoch: str) -> list[Any]:
        args: list[Any] = [int(LEASE_S * 1000), self._worker]
        for lease in leases:
            earlier = "1" if lease.epoch != epoch else ""
            args += (lease.key, lease.token, record_rest(lease), earlier)
        try:
            return self._redis.execute_command(
                "EVALSHA", self._script.sha, 1, self._keys.epoch, *args
            )
        except NoScriptError:
            self._redis.execute_command("SCRIPT LOAD", self._script.text)
            return self._redis.execute_command(
                "EVALSHA", self._script.sha, 1, self._keys.epoch, *args
            )
