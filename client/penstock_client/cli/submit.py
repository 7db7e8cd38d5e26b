"""`penstock submit` and `penstock result`: one job, and its answer."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli.answers import print_after_pieces, print_result
from penstock_client.cli.printing import print_json
from penstock_client.cli.running import connected, read_text, run
from penstock_client.cli.stream import follow
from penstock_schemas.ids import parse_job_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock_client.routing import AnyJob
    from penstock_schemas.results import Result


class JobType(StrEnum):
    """The types of job; also the names of the capabilities that they default to."""

    GENERATE = "generate"
    REASON = "reason"
    EXTRACT = "extract"
    CLASSIFY = "classify"
    EMBED = "embed"


class LaneName(StrEnum):
    """The public names of lanes."""

    INTERACTIVE = "interactive"
    BULK = "bulk"
    BACKGROUND = "background"


class StrategyName(StrEnum):
    """What may matter most when a model is chosen."""

    COST = "cost"
    SPEED = "speed"
    QUALITY = "quality"
    BALANCED = "balanced"


def register(app: typer.Typer) -> None:
    """Adds `penstock submit` and `penstock result`."""
    app.command(
        "submit",
        epilog="Example: penstock submit --workspace acme --capability classify "
        '--text "I want a refund" --label refund --label praise --wait',
    )(submit)
    app.command(
        "result",
        epilog="Example: penstock result 019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11 --timeout-s 60",
    )(result)


def submit(  # noqa: PLR0917 - options of a command
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Whose job it is.")],
    capability: Annotated[
        str,
        typer.Option(
            "--capability", "-c", help="classify, extract, generate, reason, embed, or a name."
        ),
    ],
    type_: Annotated[
        JobType | None,
        typer.Option("--type", help="The type of job, for a capability with a name of its own."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="The text to work on; the prompt of generate and reason.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="The prompt, or instructions beside a text.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="Read the text from this file; - is stdin.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="A label of classify; give one for each.")
    ] = None,
    labels_file: Annotated[
        Path | None, typer.Option(help="Labels: a JSON array, or one a line.")
    ] = None,
    multi: Annotated[
        bool, typer.Option("--multi", help="Let classify choose any number of labels.")
    ] = False,
    schema_file: Annotated[Path | None, typer.Option(help="The JSON Schema to fill.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PROVIDER/MODEL", help="Pin this model.")
    ] = None,
    strategy: Annotated[
        StrategyName | None,
        typer.Option(help="Choose the model by what matters most; see `penstock models route`."),
    ] = None,
    configuration: Annotated[
        str | None, typer.Option(help="The workspace's configuration; default: its default one.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="The system message.")] = None,
    cache_system: Annotated[
        bool, typer.Option("--cache-system", help="Ask the provider to cache the instructions.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Answer tokens at most.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2)] = None,
    lane: Annotated[
        LaneName | None,
        typer.Option(help="Its share of the provider; default: that of the configuration file."),
    ] = None,
    limit_tag: Annotated[
        str | None, typer.Option(help="Share the limits that are set for this tag.")
    ] = None,
    max_queue_wait_s: Annotated[
        float | None, typer.Option(help="Take the next route, or fail, after this wait.")
    ] = None,
    skill: Annotated[str | None, typer.Option(help="A tag for usage reports.")] = None,
    step: Annotated[str | None, typer.Option(help="A tag for usage reports.")] = None,
    agent: Annotated[str | None, typer.Option(help="A tag for usage reports.")] = None,
    task_type: Annotated[
        str | None, typer.Option(help="A tag for usage reports; a configuration may route by it.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Gives the first job of the workspace with this key.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Tell this address of the job's end.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the result; print that.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Wait, and print the answer as it comes.")
    ] = False,
    timeout_s: Annotated[
        float | None, typer.Option(min=0.001, help="Give up waiting after so long.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Submit one job and print its ID, or with --wait or --stream its answer."""
    kind = type_ or type_of(capability)
    fields: dict[str, Any] = {
        "workspace": workspace,
        "capability": capability,
        **_input_of(kind, text=_text_given(text, file), prompt=prompt),
        "labels": _labels(label or [], labels_file),
        "multi": multi,
        "schema": _schema(schema_file),
        "model": model,
        "strategy": strategy.value if strategy else None,
        "configuration": configuration,
        "system": system,
        "cache_system": cache_system or None,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "lane": lane.value if lane else None,
        "limit_tag": limit_tag,
        "max_queue_wait_s": max_queue_wait_s,
        "skill": skill,
        "step": step,
        "agent": agent,
        "task_type": task_type,
        "idempotency_key": idempotency_key,
        "webhook": webhook,
        "stream": stream or None,
    }
    submitted: list[str] = []

    def go_on() -> str:
        job_id = next(iter(submitted), None)
        if job_id is None:
            return "nothing is known to have been submitted"
        return f"the job goes on; await it with `penstock result {job_id}`"

    job = _job(kind, fields)
    work = _submit(job, submitted.append, wait=wait, stream=stream, timeout_s=timeout_s, json=json)
    answer, read = run(work, go_on=go_on)
    if answer is not None:
        print_after_pieces(answer, read, json=json)
    elif json:
        print_json({"job_id": submitted[0], "workspace": workspace})
    else:
        typer.echo(submitted[0])


def result(
    job_id: Annotated[str, typer.Argument(help="The ID that submit printed.")],
    timeout_s: Annotated[
        float | None, typer.Option(min=0.001, help="Give up waiting after so long.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
) -> None:
    """Wait for a job and print its answer; exits with 1 when it has none."""
    known = parse_job_id(job_id)
    answer = run(_result(known, timeout_s), go_on=lambda: "the job goes on; run this again")
    print_result(answer, json=json)


async def _submit(
    job: AnyJob,
    submitted: Callable[[str], None],
    *,
    wait: bool,
    stream: bool,
    timeout_s: float | None,
    json: bool,
) -> tuple[Result | None, str]:
    """The result, where it is waited for, and what was printed of it while it came."""
    async with connected() as penstock:
        handle = await asyncio.shield(penstock.submit(job))
        submitted(handle.job_id)
        if stream:
            return await follow(penstock, handle.job_id, timeout_s=timeout_s, json=json)
        return await handle.result(timeout_s=timeout_s) if wait else None, ""


async def _result(job_id: str, timeout_s: float | None) -> Result:
    async with connected() as penstock:
        return await penstock.result(job_id, timeout_s=timeout_s)


def type_of(capability: str) -> JobType:
    """The type of job of a capability that is named as one; raises InvalidJob."""
    from penstock_schemas.errors import InvalidJob

    try:
        return JobType(capability)
    except ValueError:
        raise InvalidJob(
            f"capability: {capability!r} is a name of its own; say with --type which of "
            f"{', '.join(JobType)} it is",
            field="type",
        ) from None


def _text_given(text: str | None, file: str | None) -> str | None:
    if file is None:
        return text
    if text is not None:
        raise typer.BadParameter("give --text or --file, not both", param_hint="'--file'")
    return read_text(file, "file")


def _input_of(kind: JobType, *, text: str | None, prompt: str | None) -> dict[str, Any]:
    if kind in {JobType.CLASSIFY, JobType.EXTRACT}:
        return {"text": text, "prompt": prompt}
    if text is not None and prompt is not None:
        raise typer.BadParameter(
            f"{kind} takes --prompt, --text or --file, not two of them", param_hint="'--prompt'"
        )
    given = text if text is not None else prompt
    return {"input": given} if kind is JobType.EMBED else {"prompt": given}


def _labels(labels: list[str], path: Path | None) -> tuple[str, ...] | None:
    if path is None:
        return tuple(labels) or None
    from penstock_client.backfill.files import load_labels

    return (*labels, *load_labels(path))


def _schema(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from penstock_client.backfill.files import load_schema

    return load_schema(path)


def _job(kind: JobType, fields: dict[str, Any]) -> AnyJob:
    """The job; what was not given is left out, so that its type says what it lacks or refuses."""
    from penstock_schemas.jobs import JOB_TYPES, build_job

    given = {name: value for name, value in fields.items() if value is not None}
    if not given.pop("multi"):
        return build_job(JOB_TYPES[kind.value], given)
    return build_job(JOB_TYPES[kind.value], {**given, "multi": True})
