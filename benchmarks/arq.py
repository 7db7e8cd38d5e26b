"""An empty arq job on the same Valkey, with its worker on the same core: the yardstick.

Machines are noisy; the ratio of the two CPU figures is what can be compared between runs.
"""

from __future__ import annotations

from benchmarks.figures import Figure
from benchmarks.stand import Stand
from penstock_client.connections import close_redis, redis_pool

_JOBS, _JOBS_FULL = 4_000, 10_000
_MAX_JOBS = 200
_DATABASE = "db=1"


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Jobs per second of one arq worker and its CPU µs per job."""
    count = _JOBS_FULL if full else _JOBS
    redis_url = stand.settings.require_redis().replace("db=0", _DATABASE)
    redis = redis_pool(stand.settings.model_copy(update={"redis_url": redis_url}))
    for _ in range(count):
        await redis.enqueue_job("empty")
    ran = await stand.run_arq(redis_url=redis_url, max_jobs=_MAX_JOBS)
    await redis.execute_command("FLUSHDB")  # pyright: ignore[reportUnknownMemberType]
    await close_redis(redis)
    if ran["jobs"] != count:
        raise RuntimeError(f"arq ran {ran['jobs']:.0f} of {count} jobs")
    return [
        Figure(
            bench="arq", name="empty jobs of one worker", value=count / ran["seconds"], unit="/s"
        ),
        Figure(
            bench="arq",
            name="CPU of the worker, empty job",
            value=ran["cpu_s"] / count * 1e6,
            unit="µs/job",
        ),
    ]
