"""`penstock stream`: the answer to a job while it is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from penstock_client.cli.answers import print_after_pieces, print_pieces
from penstock_client.cli.running import connected, run
from penstock_schemas.ids import parse_job_id

if TYPE_CHECKING:
    from penstock_client.client import Penstock
    from penstock_schemas.results import Result


def register(app: typer.Typer) -> None:
    """Adds `penstock stream`."""
    app.command("stream", epilog="Example: penstock stream 019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11")(
        stream
    )


def stream(
    job_id: Annotated[str, typer.Argument(help="The ID that submit printed.")],
    after: Annotated[
        str | None,
        typer.Option(metavar="POSITION", help="Go on after this piece; --json tells positions."),
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option(min=0.001, help="Give up waiting after so long.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each piece as a line of JSON, then the result.")
    ] = False,
) -> None:
    """Print the answer to a job as it comes; exits with 1 when it has none.

    Only a job submitted to be streamed comes in pieces; others come whole. Any number of terminals
    may read along, from the beginning.
    """
    work = _stream(parse_job_id(job_id), after=after, timeout_s=timeout_s, json=json)
    answer, read = run(work, go_on=lambda: "the job goes on; run this again")
    print_after_pieces(answer, read, json=json)


async def _stream(
    job_id: str, *, after: str | None, timeout_s: float | None, json: bool
) -> tuple[Result, str]:
    async with connected() as penstock:
        return await follow(penstock, job_id, after=after, timeout_s=timeout_s, json=json)


async def follow(
    penstock: Penstock,
    job_id: str,
    *,
    after: str | None = None,
    timeout_s: float | None,
    json: bool,
) -> tuple[Result, str]:
    """Print a job's answer as it comes; gives its result and the text that was printed.

    Raises ResultTimeout, UnknownJob, and InvalidJob for an `after` that is no position.
    """
    from penstock_schemas.errors import ResultTimeout

    try:
        async with asyncio.timeout(timeout_s):
            read = await print_pieces(penstock.stream(job_id, after=after), json=json)
            return await penstock.result(job_id), read
    except TimeoutError:
        raise ResultTimeout(job_id, timeout_s or 0) from None
