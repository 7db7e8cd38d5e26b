"""`penstock.tokens`: who may use the HTTP API, for which workspace, and for what.

A token is `pst_<id>_<secret>`. The secret is 256 random bits, shown once; the ledger keeps its
SHA-256, which for so many bits needs neither salt nor stretching.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from penstock_client.ledger import Ledger
from penstock_schemas.errors import InvalidJob, UnknownToken, UnknownWorkspace
from penstock_schemas.ids import is_workspace_id

Scope = Literal[
    "jobs:read",
    "jobs:write",
    "config:read",
    "config:write",
    "usage:read",
    "keys:write",
    "metrics",
    "admin",
]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
#: Every scope, in all workspaces.
ADMIN: Final[Scope] = "admin"
#: Scopes that concern no single workspace.
GLOBAL_SCOPES: Final[frozenset[Scope]] = frozenset({"metrics", ADMIN})
#: What a token of one workspace may do unless it is told otherwise: everything there.
WORKSPACE_SCOPES: Final = tuple(name for name in SCOPES if name not in GLOBAL_SCOPES)
MOST_NAME = 200

_PREFIX = "pst"
_TOKEN = re.compile(rf"{_PREFIX}_([0-9a-f]{{16}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token stands for. `workspace` None is all of them."""

    token_id: str
    name: str
    workspace: str | None
    scopes: frozenset[str]

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope; `admin` has them all."""
        return scope in self.scopes or ADMIN in self.scopes

    def sees(self, workspace: str) -> bool:
        """Whether a workspace exists as far as this token can tell."""
        return self.workspace is None or self.workspace == workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """What is known of a token; its secret cannot be read back."""

    token_id: str
    name: str
    workspace: str | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; `secret` is the whole token, and is never shown again."""

    info: TokenInfo
    secret: str

    def __repr__(self) -> str:
        return f"NewToken({self.info!r})"


class Tokens:
    """Make, list, revoke and check tokens. Every method raises Unavailable."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def create(
        self,
        name: str,
        *,
        workspace: str | None = None,
        scopes: Collection[str] | None = None,
        expires_at: datetime | None = None,
    ) -> NewToken:
        """Make a token; its secret is shown this once.

        Without `workspace` it is of all workspaces. `scopes` None is everything: in its workspace,
        or as an administrator. Raises UnknownWorkspace, and InvalidJob that names the field.
        """
        chosen = _checked_scopes(scopes, workspace)
        if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
            raise InvalidJob(f"name: must be 1 to {MOST_NAME} printable characters", field="name")
        if expires_at is not None and (
            expires_at.tzinfo is None or expires_at <= datetime.now(UTC)
        ):
            raise InvalidJob(
                "expires_at: must be in the future, with a time zone", field="expires_at"
            )
        if workspace is not None and not is_workspace_id(workspace):
            raise UnknownWorkspace(workspace)
        token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        rows = await self._ledger.fetch_safely(
            "create_token", token_id, workspace, name, _digest(secret), chosen, expires_at
        )
        if not rows:
            raise UnknownWorkspace(workspace or "")
        return NewToken(_info(rows[0]), f"{_PREFIX}_{token_id}_{secret}")

    async def list(
        self, workspace: str | None = None, *, everybody: bool = False
    ) -> list[TokenInfo]:
        """The tokens of a workspace, oldest first; without one those of no single workspace.

        Revoked ones are told too. `everybody` gives the tokens of all.
        """
        rows = await self._ledger.fetch_safely("tokens", workspace, everybody)
        return [_info(row) for row in rows]

    async def revoke(self, token_id: str, *, workspace: str | None = None) -> TokenInfo:
        """End a token; processes that have checked it stop accepting it within seconds.

        With `workspace` only one of that workspace. Idempotent. Raises UnknownToken.
        """
        known = _ID.fullmatch(token_id) is not None
        rows = await self._ledger.fetch_safely("revoke_token", token_id, workspace) if known else []
        if not rows:
            raise UnknownToken(token_id)
        return _info(rows[0])

    async def check(self, token: str) -> Identity | None:
        """Whom a token stands for; None when it is none, or not in force."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        token_id, secret = parts.groups()
        digest = _digest(secret)
        for row in await self._ledger.fetch_safely("check_token", token_id, digest):
            if hmac.compare_digest(row["hash"], digest):
                scopes = frozenset(row["scopes"])
                return Identity(token_id, row["name"], row["workspace_id"], scopes)
        return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _checked_scopes(scopes: Collection[str] | None, workspace: str | None) -> list[str]:
    if scopes is None:
        return [ADMIN] if workspace is None else list(WORKSPACE_SCOPES)
    unknown = sorted(set(scopes).difference(SCOPES))
    if unknown or not scopes:
        what = f"{unknown[0]!r} is not one of" if unknown else "give at least one of"
        raise InvalidJob(f"scopes: {what} {', '.join(SCOPES)}", field="scopes")
    too_wide = sorted(GLOBAL_SCOPES.intersection(scopes))
    if workspace is not None and too_wide:
        told = f"scopes: a token of one workspace cannot have {too_wide[0]}"
        raise InvalidJob(told, field="scopes")
    return [name for name in SCOPES if name in scopes]


def _info(row: Any) -> TokenInfo:
    fields: dict[str, Any] = dict(row.items())
    workspace = fields.pop("workspace_id")
    token_id, scopes = fields.pop("id"), tuple(fields.pop("scopes"))
    return TokenInfo(token_id=token_id, workspace=workspace, scopes=scopes, **fields)
