"""Print an answer while it is written, then go on reading it from the middle, as another process
that has the job's ID would; runs against `penstock up`.
"""

import asyncio

from penstock_client import Generate, Penstock

PROMPT = "Tell me of a river, of the gate in its bed, and of the turbine below it."


async def main() -> None:
    """Settings come from PENSTOCK_REDIS_URL and PENSTOCK_DATABASE_URL."""
    async with Penstock.connect() as penstock:
        handle = await penstock.submit(Generate(workspace="demo", prompt=PROMPT, stream=True))
        positions: list[str] = []
        async for delta in handle.stream():
            if delta.restarted:  # an attempt failed: what it said is void
                print("\n(again)")
            print(delta.text, end="", flush=True)
            positions.append(delta.position)
        print()

        middle = positions[len(positions) // 2]
        rest = [delta.text async for delta in penstock.stream(handle.job_id, after=middle)]
        print(f"after {middle}: {''.join(rest)}")


asyncio.run(main())
