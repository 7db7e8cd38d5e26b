"""Scripts: sent by hash, and loaded where the server is new to them."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import NoScriptError, ResponseError

from penstock_client.scripts import Script, client_script


class Server:
    """Keeps the commands it gets; knows scripts once they are loaded."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self.known: set[str] = set()
        self.answer: Any = b"done"

    async def execute_command(self, *command: Any) -> Any:
        self.commands.append(command)
        if command[0] == "SCRIPT LOAD":
            self.known.add(script().sha)
            return None
        if command[1] not in self.known:
            raise NoScriptError("NOSCRIPT No matching script.")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def names(self) -> list[str]:
        return [command[0] for command in self.commands]


def script() -> Script:
    return client_script("push")


async def run(server: Server, **options: Any) -> Any:
    return await script()(server, "ps1:{openai}:epoch", ["a", 1], **options)  # type: ignore[arg-type]


async def test_script_is_run_by_its_hash_with_one_key() -> None:
    server = Server()
    server.known.add(script().sha)
    assert await run(server) == b"done"
    assert server.commands == [("EVALSHA", script().sha, 1, "ps1:{openai}:epoch", "a", 1)]


async def test_script_is_loaded_where_it_is_not_known() -> None:
    server = Server()
    assert await run(server) == b"done"
    assert server.names == ["EVALSHA", "SCRIPT LOAD", "EVALSHA"]
    assert server.commands[1][1] == script().text


async def test_script_tells_of_a_new_server_before_it_is_loaded_there() -> None:
    server = Server()
    seen: list[list[str]] = []

    async def on_new_server() -> None:
        seen.append(list(server.names))

    await run(server, on_new_server=on_new_server)
    await run(server, on_new_server=on_new_server)
    assert seen == [["EVALSHA"]]


async def test_script_errors_are_the_callers() -> None:
    server = Server()
    server.known.add(script().sha)
    server.answer = ResponseError("ERR wrong")
    with pytest.raises(ResponseError, match="wrong"):
        await run(server)
    assert server.names == ["EVALSHA"]


def test_script_with_a_salt_is_known_apart() -> None:
    from importlib.resources import files

    source = files("penstock_client").joinpath("lua", "push.lua")
    hashes = {Script(source).sha, Script(source, salt="a").sha, Script(source, salt="b").sha}
    assert len(hashes) == 3
