"""`penstock direct`: one call past everything, from the command line."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from penstock_client.cli.running import read_text


def direct(  # noqa: PLR0917 - options of a command
    model: Annotated[str, typer.Option(help="The model to ask, as `provider/model`.")],
    prompt: Annotated[str | None, typer.Option(help="What to ask.")] = None,
    file: Annotated[
        str | None, typer.Option(help="Read the prompt from this file; - is stdin.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="The system message.")] = None,
    json_answer: Annotated[
        bool, typer.Option("--json-answer", help="Take nothing but JSON for an answer.")
    ] = False,
    schema_file: Annotated[
        str | None, typer.Option(help="Take nothing for an answer that does not fit this schema.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Answer tokens at most.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2)] = None,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds for everything together.")
    ] = 60.0,
    agent: Annotated[str | None, typer.Option(help="For the security log.")] = None,
    task_type: Annotated[str | None, typer.Option(help="For the security log.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
) -> None:
    """Ask a model once, past everything: no queue, cache, retry or fallback, no server of ours.

    Prints the answer, or why there is none with exit code 1: a cut-off, refused or broken answer is
    none. The security log, one line without prompt or answer, goes to stderr.
    """
    from penstock_client.direct import DirectCall
    from penstock_worker.direct import call
    from penstock_worker.logs import configure_logs

    configure_logs(json=True)
    asked = DirectCall(
        model=model,
        prompt=prompt if file is None else read_text(file, "file"),
        system=system,
        schema=_schema(schema_file),
        json=json_answer,
        max_tokens=max_tokens,
        temperature=temperature,
        timeout_s=timeout_s,
        agent=agent,
        task_type=task_type,
    )
    result = asyncio.run(call(asked))
    if json:
        from penstock_client.cli.printing import print_json

        cost = None if result.cost_usd is None else str(result.cost_usd)
        print_json({**asdict(result), "cost_usd": cost})
    elif result.ok:
        typer.echo(result.text)
    else:
        typer.echo(f"error: {result.reason}", err=True)
    raise typer.Exit(0 if result.ok else 1)


def _schema(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from pathlib import Path

    from penstock_client.backfill.files import load_schema

    return load_schema(Path(path))
