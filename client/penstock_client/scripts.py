"""Lua scripts on Redis: the shared head `lua/index.lua`, parts that some share, and its own text.

The script cache of a Redis server dies with the server. So NOSCRIPT is how a caller learns, at no
cost, that the server is new to it: `on_new_server` runs before the script is loaded there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, cast

from arq.connections import ArqRedis
from redis.exceptions import NoScriptError

Argument = bytes | str | int | float
_LUA = "lua"


@cache
def index_head() -> str:
    """The functions that every script on an index shares."""
    return files("penstock_client").joinpath(_LUA, "index.lua").read_text(encoding="utf-8")


class Script:
    """One script; `salt` makes its hash differ where each user needs a NOSCRIPT of its own."""

    def __init__(
        self, source: Traversable, *, parts: Sequence[Traversable] = (), salt: str = ""
    ) -> None:
        self.name = source.name
        texts = [part.read_text(encoding="utf-8") for part in (*parts, source)]
        self.text = "\n".join([f"-- {salt}", index_head(), *texts])
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self,
        redis: ArqRedis,
        key: str,
        args: Sequence[Argument],
        *,
        on_new_server: Callable[[], Awaitable[object]] | None = None,
    ) -> Any:
        """Run on the index of `key`; raises redis errors."""
        run = cast("Any", redis).execute_command
        try:
            return await run("EVALSHA", self.sha, 1, key, *args)
        except NoScriptError:
            if on_new_server is not None:
                await on_new_server()
            await run("SCRIPT LOAD", self.text)
            return await run("EVALSHA", self.sha, 1, key, *args)


def client_script(name: str) -> Script:
    """A script of this distribution, by file name."""
    return Script(files("penstock_client").joinpath(_LUA, f"{name}.lua"))
