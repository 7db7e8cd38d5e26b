"""Keeps what workspaces seal to in step with a worker's private keys: publish, then re-seal.

A loop beside each worker. It looks at the key file every few seconds; a new newest key is published
for others to seal to, and what is sealed to older ones is sealed anew, a page at a time. Several
workers may do so at once: each key is replaced only where it still is what was read.
"""

from __future__ import annotations

import logging

from penstock_client.ledger import Ledger
from penstock_client.sealing import seal
from penstock_client.webhooks.service import SEALED_AS
from penstock_worker.keyring import CannotOpen, Keyring, PrivateKey

logger = logging.getLogger("penstock.worker")

#: The key file is looked at this often, in seconds.
LOOK_S = 2.0
#: Every so many looks, the newest key is published again, should it not be known any more, and
#: keys are looked for that are not sealed to it.
RESEAL_EVERY = 5
_PAGE = 100


class KeyCare:
    """Publishes and re-seals for one worker. Every step is repeatable."""

    def __init__(self, ledger: Ledger, keyring: Keyring) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._published: str | None = None
        self._looks = 0
        self._warned: set[str] = set()

    async def look(self) -> None:
        """One look: take up a changed file, and now and then publish and re-seal."""
        if self._keyring.refresh():
            logger.info("keyring.read", extra={"sealing_keys": list(self._keyring.ids)})
        newest = self._keyring.newest
        if newest is not None and (newest.id != self._published or not self._looks):
            await self._publish(newest)
            await self.reseal()
        self._looks = (self._looks + 1) % RESEAL_EVERY

    async def _publish(self, newest: PrivateKey) -> None:
        mine = self._keyring.ids
        await self._ledger.fetch("publish_sealing_key", newest.id, newest.public, mine)
        in_use = (await self._ledger.fetch("newest_sealing_key"))[0]["id"]
        if in_use not in mine and in_use not in self._warned:
            self._warned.add(in_use)
            logger.warning(
                "keyring.behind",
                extra={
                    "sealing_key": in_use,
                    "hint": "keys are sealed to one that this worker lacks: give it the file of "
                    f"private keys that others have, or `penstock keys forget {in_use}` if it is "
                    "lost",
                },
            )
        self._published = newest.id

    async def reseal(self) -> int:
        """Seal to the newest key all that is sealed to others; how many keys that were.

        Does nothing where the key in use is not this worker's newest one.
        """
        newest = self._keyring.newest
        in_use = await self._ledger.fetch("newest_sealing_key")
        if newest is None or not in_use or in_use[0]["id"] != newest.id:
            return 0
        done, last = await self._reseal_webhooks(newest), ("", "")
        while page := await self._ledger.fetch("sealed_to_others", newest.id, *last, _PAGE):
            last = (page[-1]["workspace_id"], page[-1]["provider"])
            for row in page:
                workspace, provider, sealed = row["workspace_id"], row["provider"], row["sealed"]
                anew = self._sealed_anew(newest, sealed, workspace=workspace, provider=provider)
                if anew is not None:
                    args = (workspace, provider, sealed, anew, newest.id)
                    done += bool(await self._ledger.fetch("reseal_provider_key", *args))
        if done:
            logger.info("keys.resealed", extra={"keys": done, "sealing_key": newest.id})
        return done

    async def _reseal_webhooks(self, newest: PrivateKey) -> int:
        """The same of what webhooks are signed with."""
        done, last = 0, ("", "")
        while page := await self._ledger.fetch("webhook_sealed_to_others", newest.id, *last, _PAGE):
            last = (page[-1]["workspace"], page[-1]["id"])
            for row in page:
                workspace, sealed = row["workspace"], row["sealed"]
                anew = self._sealed_anew(newest, sealed, workspace=workspace, provider=SEALED_AS)
                if anew is not None:
                    args = (workspace, row["id"], sealed, anew, newest.id)
                    done += bool(await self._ledger.fetch("webhook_reseal", *args))
        return done

    def _sealed_anew(
        self, newest: PrivateKey, sealed: bytes, *, workspace: str, provider: str
    ) -> bytes | None:
        """The same secret, sealed to the newest key; None for what does not open."""
        try:
            secret = self._keyring.open(sealed, workspace=workspace, provider=provider)
        except CannotOpen as error:
            if error.sealing_key not in self._warned:
                self._warned.add(error.sealing_key)
                logger.warning("keys.not_resealed", extra={"sealing_key": error.sealing_key})
            return None
        return seal(secret, newest.public, workspace=workspace, provider=provider)
