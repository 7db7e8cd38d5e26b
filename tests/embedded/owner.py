"""Run as a program by the tests: owns a stack until it is killed; prints its servers' pids."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import asyncpg
import redis.asyncio

from penstock_worker.embedded import EmbeddedStack


async def own(home: Path) -> None:
    async with EmbeddedStack(home) as stack:
        connection = await asyncpg.connect(stack.database_url)
        await connection.execute("create table kept as select 7 as value")
        client = redis.asyncio.Redis.from_url(stack.redis_url)
        await client.set("kept", "7")
        print(json.dumps(dict(stack.pids)), flush=True)
        await asyncio.Event().wait()


asyncio.run(own(Path(sys.argv[1])))
