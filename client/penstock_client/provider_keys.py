"""Workspaces' own keys for providers: sealed here, tried by that provider's workers, and stored.

Whoever holds this can store a key and never read one back. A key is tried by a job of its own on
the provider's pool, the cheapest real call; it is stored only when it works, unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from penstock_client.ledger import Ledger
from penstock_client.operations import Operations
from penstock_client.sealing import (
    PUBLIC_KEY_VARIABLE,
    checked_key,
    decode_key,
    fingerprint,
    seal,
    sealing_id,
)
from penstock_schemas.canary import cheapest_model
from penstock_schemas.catalog import Catalog, Model
from penstock_schemas.errors import (
    ConfigurationError,
    KeyRefused,
    KeyUntested,
    Unavailable,
    UnknownKey,
)

#: A test that has no answer within so many seconds says nothing.
TEST_S = 30.0
_NONE_PUBLISHED = (
    "no worker has published a key to seal to: make one with `penstock keys generate` where "
    "workers run, and start one of them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What is known of a workspace's key; the key itself cannot be read back.

    `fingerprint` names the credential wherever one is told. `works` is what its last test said
    (`problem`: why not), None for a key that was never tested.
    """

    provider: str
    fingerprint: str
    works: bool | None
    problem: str | None
    tested_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingKey:
    """A public key of the workers, and how many workspaces' keys are sealed to it."""

    id: str
    public_key: bytes
    created_at: datetime
    sealed: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a test said: the key works, was refused (False), or nothing was found out (None)."""

    works: bool | None
    message: str = ""


class KeyTest(Protocol):
    """Tries a sealed key with one call to a model; never raises for what providers answer."""

    async def __call__(
        self, workspace: str, model: Model, sealed: bytes, *, timeout_s: float
    ) -> Verdict: ...


class WorkspaceKeys:
    """Set, test, list and remove workspaces' keys. Every method raises Unavailable."""

    def __init__(
        self,
        ledger: Ledger,
        operations: Operations,
        catalog: Catalog,
        *,
        check_workspace: Callable[[str], Awaitable[object]],
        changed: Callable[[str], Awaitable[object]],
        test: KeyTest,
        pinned: str | None = None,
    ) -> None:
        self._ledger, self._operations, self._catalog = ledger, operations, catalog
        self._check_workspace, self._changed = check_workspace, changed
        self._test = test
        self._pinned = pinned

    async def set(
        self,
        workspace: str,
        provider: str,
        api_key: str,
        *,
        validate: bool = True,
        anyway: bool = False,
        timeout_s: float = TEST_S,
    ) -> KeyInfo:
        """Seal a key, try it, and store it in place of what was there.

        A key that the provider refuses raises KeyRefused, one that could not be tested
        KeyUntested; `anyway` stores both. In force within about a second. Raises UnknownProvider,
        UnknownWorkspace, and ConfigurationError for what cannot be a key and while there is
        nothing to seal to.
        """
        name = self._catalog.provider(provider).name
        await self._check_workspace(workspace)
        key = checked_key(api_key)
        public_key = await self.public_key()
        sealed = seal(key, public_key, workspace=workspace, provider=name)
        mark = fingerprint(key)
        del key, api_key
        verdict = Verdict(None)
        if validate:
            verdict = await self._try(workspace, name, sealed, timeout_s)
            if not anyway:
                _refuse(name, verdict)
        rows = await self._ledger.fetch_safely(
            "set_provider_key",
            workspace,
            name,
            sealed,
            sealing_id(public_key),
            mark,
            verdict.works,
            verdict.message or None,
        )
        if not rows:
            raise ConfigurationError(
                "the workers' key was changed while this one was tested; set it again"
            )
        await self._changed(workspace)
        return await self._told(rows[0])

    async def test(self, workspace: str, provider: str, *, timeout_s: float = TEST_S) -> KeyInfo:
        """Try the stored key and note what came of it.

        Raises UnknownKey, and KeyUntested where nothing was found out, which changes nothing.
        """
        name = self._catalog.provider(provider).name
        await self._check_workspace(workspace)
        stored = await self._ledger.fetch_safely("sealed_provider_key", workspace, name)
        if not stored:
            raise UnknownKey(workspace, name)
        verdict = await self._try(workspace, name, stored[0]["sealed"], timeout_s)
        if verdict.works is None:
            raise KeyUntested(name, verdict.message)
        mark, problem = stored[0]["fingerprint"], verdict.message or None
        args = (workspace, name, mark, verdict.works, problem)
        rows = await self._ledger.fetch_safely("tested_provider_key", *args)
        if not rows:
            raise KeyUntested(name, "another key was set meanwhile; test it again")
        return await self._told(rows[0])

    async def list(self, workspace: str) -> list[KeyInfo]:
        """A workspace's keys, by provider; raises UnknownWorkspace."""
        await self._check_workspace(workspace)
        rows = await self._ledger.fetch_safely("provider_keys", workspace)
        return [_info(row) for row in rows]

    async def remove(self, workspace: str, provider: str) -> bool:
        """Forget a key: the platform's is used from now on. False when there is none.

        Calls under way keep the key they have. Raises UnknownProvider, UnknownWorkspace.
        """
        name = self._catalog.provider(provider).name
        await self._check_workspace(workspace)
        if not await self._ledger.fetch_safely("remove_provider_key", workspace, name):
            return False
        await self._changed(workspace)
        return True

    async def status(self) -> Sequence[SealingKey]:
        """The workers' public keys, the one in use first."""
        rows = await self._ledger.fetch_safely("sealing_keys")
        return [SealingKey(**dict(row.items())) for row in rows]

    async def forget(self, sealing_key: str) -> int:
        """Forget a public key whose private half is lost, and all keys that are sealed to it.

        Returns how many those were; raises ConfigurationError for one that is not known.
        """
        rows = await self._ledger.fetch_safely("forget_sealing_key", sealing_key)
        if not rows:
            raise ConfigurationError(f"sealing key: {sealing_key!r} is not known")
        return rows[0]["keys"]

    async def public_key(self) -> bytes:
        """The key to seal to: the newest that a worker published, and no other than the pinned.

        Raises ConfigurationError where there is none, or another.
        """
        rows = await self._ledger.fetch_safely("newest_sealing_key")
        if not rows:
            raise ConfigurationError(_NONE_PUBLISHED)
        published: bytes = rows[0]["public_key"]
        if self._pinned:
            pinned = decode_key(self._pinned, variable=PUBLIC_KEY_VARIABLE)
            if pinned != published:
                raise ConfigurationError(
                    f"{PUBLIC_KEY_VARIABLE} is {sealing_id(pinned)} and workers have published "
                    f"{rows[0]['id']}: after a rotation set the variable to what "
                    "`penstock keys rotate` printed; without one, find out who wrote that row"
                )
        return published

    async def _try(self, workspace: str, provider: str, sealed: bytes, timeout_s: float) -> Verdict:
        model = cheapest_model(self._catalog, provider, today=_today())
        if model is None:
            return Verdict(None, f"the catalogue has no active model of {provider} to ask")
        return await self._test(workspace, model, sealed, timeout_s=timeout_s)

    async def _told(self, row: Any) -> KeyInfo:
        """A key that works opens the gate that it had shut when it did not."""
        info = _info(row)
        if info.works:
            gate = f"credential:{info.fingerprint}"
            with suppress(Unavailable):  # then a call tries it when its time comes
                await self._operations.restore_gate(info.provider, gate)
        return info


def _refuse(provider: str, verdict: Verdict) -> None:
    if verdict.works is False:
        raise KeyRefused(provider, verdict.message)
    if verdict.works is None:
        raise KeyUntested(provider, verdict.message)


def _info(row: Any) -> KeyInfo:
    return KeyInfo(**dict(row.items()))


def _today() -> date:
    return datetime.now(UTC).date()
