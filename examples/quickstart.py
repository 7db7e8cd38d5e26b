"""Submit one job and await its result; runs against `penstock up` and what it prints."""

import asyncio

from penstock_client import Classify, Penstock


async def main() -> None:
    """Settings come from PENSTOCK_REDIS_URL and PENSTOCK_DATABASE_URL."""
    labels = ("delivery", "refund", "praise")
    async with Penstock.connect() as penstock:
        job = Classify(workspace="demo", text="Where is my parcel? I wait for days.", labels=labels)
        handle = await penstock.submit(job)  # committed in Postgres when this returns
        result = await handle.result(timeout_s=60)  # or penstock.result(job_id), anywhere
        print(result.output, result.model, result.usage.input_tokens, result.cost_usd)


asyncio.run(main())
