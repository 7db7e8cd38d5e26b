"""How commands print an answer: as text with a line of what it took, as JSON, or as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import typer

from penstock_client.cli.printing import print_json, shown_cost, shown_seconds

if TYPE_CHECKING:
    from penstock_schemas.deltas import Delta
    from penstock_schemas.results import Result


def print_result(answer: Result, *, json: bool) -> None:
    """The answer on stdout, what it took or why there is none on stderr; exits with 1 then."""
    if json:
        typer.echo(answer.model_dump_json())
    elif answer.ok:
        typer.echo(_text_of(answer))
    _print_end(answer, json=json)


async def print_pieces(pieces: AsyncIterator[Delta], *, json: bool) -> str:
    """The pieces of an answer as they come; gives the text that stands since the last restart.

    As text, a restart begins a new line and says so on stderr.
    """
    read = ""
    async for piece in pieces:
        if json:
            print_json(piece.sparse())
            continue
        if piece.restarted:
            if read:
                typer.echo()
            typer.echo("[what came so far is void: another attempt began]", err=True)
            read = ""
        read += piece.text
        typer.echo(piece.text, nl=False)
    return read


def print_after_pieces(answer: Result, read: str, *, json: bool) -> None:
    """What is left to print once the pieces were: the whole answer where `read` is not its end."""
    if json:
        print_result(answer, json=True)
        return
    if read:
        typer.echo()
    if answer.ok and not (read and _told(answer).endswith(read)):
        if read:
            typer.echo("[pieces of this were lost; the whole answer:]", err=True)
        typer.echo(_text_of(answer))
    _print_end(answer, json=False)


def _print_end(answer: Result, *, json: bool) -> None:
    if not answer.ok and not json:
        error = answer.error
        why = f"{error.kind.value}: {error.message}" if error else answer.status.label
        typer.echo(f"error: job {answer.job_id} {answer.status.label}: {why}", err=True)
    if not json:
        typer.echo(_about(answer), err=True)
    if not answer.ok:
        raise typer.Exit(1)


def _text_of(answer: Result) -> str:
    import orjson

    if isinstance(answer.output, str):
        return answer.output
    if answer.output is not None:
        return orjson.dumps(answer.output, option=orjson.OPT_INDENT_2).decode()
    if answer.vectors:
        return "\n".join(orjson.dumps(vector).decode() for vector in answer.vectors)
    if answer.tool_calls and not answer.text:
        calls = [call.model_dump(mode="json", exclude_none=True) for call in answer.tool_calls]
        return orjson.dumps(calls, option=orjson.OPT_INDENT_2).decode()
    return answer.text or ""


def _told(answer: Result) -> str:
    """What the pieces of its text come to."""
    return answer.text if answer.text is not None else _text_of(answer)


def _about(answer: Result) -> str:
    """One line: what it took."""
    parts = [
        f"{answer.provider}/{answer.model}" if answer.provider else "no provider",
        f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens",
        shown_cost(answer.cost_usd) if answer.attempts else "no cost",
        f"{answer.attempts} {'attempt' if answer.attempts == 1 else 'attempts'}",
        shown_seconds(answer.duration_ms / 1000),
    ]
    if answer.simulated:
        parts.append("simulated")
    return f"[{' · '.join(parts)}]"
