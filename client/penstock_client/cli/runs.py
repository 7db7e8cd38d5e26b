"""`penstock runs`: start runs of skills, follow, list, cancel and resume them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.run_shown import RunView, print_run
from penstock_client.cli.running import connected, read_text, run
from penstock_client.cli.skills import read_skill
from penstock_client.cli.submit import LaneName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock_client.pipelines.skill import Skill
    from penstock_schemas.runs import ItemResult, RunResult, RunRow

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RunId = Annotated[str, typer.Argument(help="The ID that start printed.")]
_Timeout = Annotated[
    float | None, typer.Option(min=0.001, help="Give up waiting after so many seconds.")
]
_SUFFIXES = {".yaml", ".yml", ".json"}


class RunStateLabel(StrEnum):
    """The public names of the states of runs."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


def register(app: typer.Typer) -> None:
    """Adds `penstock runs` with `start`, `wait`, `show`, `list`, `items`, `cancel`, `resume`."""
    sub = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock runs start pipeline.yaml --workspace acme --wait",
    )
    sub.command(
        "start",
        epilog="Example: penstock runs start pipeline-hygiene --workspace acme --input days=14 "
        "--inputs deals.json --wait",
    )(start)
    example = "019a9f3e-7c1b-7d2e-9a54-0f6f6b1f8c11"
    sub.command("wait", epilog=f"Example: penstock runs wait {example}")(wait)
    sub.command("show", epilog=f"Example: penstock runs show {example} --json")(show)
    sub.command("list", epilog="Example: penstock runs list acme --state failed")(list_runs)
    sub.command("items", epilog=f"Example: penstock runs items {example} read-notes --json")(items)
    sub.command("cancel", epilog=f"Example: penstock runs cancel {example}")(cancel)
    sub.command("resume", epilog=f"Example: penstock runs resume {example} --wait")(resume)
    app.add_typer(sub, name="runs", help="Runs of skills.")


def start(  # noqa: PLR0917 - options of a command
    skill: Annotated[
        str, typer.Argument(help="A file of YAML or JSON, or the name of a workspace's skill.")
    ],
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Whose run it is.")],
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value; the value is JSON, or else text."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(help="A file with a JSON object of inputs; - is stdin.")
    ] = None,
    configuration: Annotated[
        str | None, typer.Option(help="The workspace's configuration; default: its default one.")
    ] = None,
    lane: Annotated[LaneName | None, typer.Option(help="The lane of its jobs.")] = None,
    session_key: Annotated[str | None, typer.Option(help="A tag for usage reports.")] = None,
    agent: Annotated[str | None, typer.Option(help="A tag for usage reports.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Gives the first run of the workspace with this key.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Tell this https:// address of its end.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run, then print its output.")
    ] = False,
    timeout_s: _Timeout = None,
    json: _Json = False,
) -> None:
    """Start a run and print its ID, or with --wait follow it and print its output.

    It goes on whatever becomes of this process. Exits with 1 when it fails.
    """
    declared = read_skill(skill) if Path(skill).suffix in _SUFFIXES else skill
    options: dict[str, Any] = {
        "configuration": configuration,
        "lane": lane.value if lane else None,
        "session_key": session_key,
        "agent": agent,
        "idempotency_key": idempotency_key,
        "webhook": webhook,
    }
    given = {name: value for name, value in options.items() if value is not None}
    started: list[str] = []

    def go_on() -> str:
        if not started:
            return "no run is known to have been started"
        return f"the run goes on; await it with `penstock runs wait {started[0]}`"

    work = _start(declared, workspace, _inputs(input_ or [], inputs), given, started.append)
    run_id = run(work, go_on=go_on)
    if wait:
        _print_end(run(_wait(run_id, timeout_s), go_on=go_on), json=json)
    elif json:
        print_json({"run_id": run_id, "workspace": workspace})
    else:
        typer.echo(run_id)


def wait(run_id: _RunId, timeout_s: _Timeout = None, json: _Json = False) -> None:
    """Follow a run to its end and print its output; exits with 1 when it has none."""
    found = run(_wait(run_id, timeout_s), go_on=lambda: "the run goes on; run this again")
    _print_end(found, json=json)


def show(run_id: _RunId, json: _Json = False) -> None:
    """Show how a run and its steps stand, and what it waits for."""
    _print(run(_get(run_id)), json=json)


def list_runs(  # noqa: PLR0917 - options of a command
    workspace: Annotated[str, typer.Argument(help="The workspace.")],
    state: Annotated[RunStateLabel | None, typer.Option(help="Only these.")] = None,
    skill: Annotated[str | None, typer.Option(help="Only runs of this skill.")] = None,
    before: Annotated[str | None, typer.Option(help="Older than this run: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: _Json = False,
) -> None:
    """List a workspace's runs, newest first."""
    rows = run(_list(workspace, state, skill=skill, before=before, limit=limit))
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    cells = [
        (
            row.run_id,
            row.skill,
            row.status.label,
            f"{row.steps_ended}/{row.steps}",
            shown_time(row.created_at),
            shown_time(row.finished_at),
        )
        for row in rows
    ]
    print_table(("RUN", "SKILL", "STATE", "STEPS", "STARTED (UTC)", "ENDED (UTC)"), cells)


def items(
    run_id: _RunId,
    step: Annotated[str, typer.Argument(help="The step's name.")],
    after: Annotated[int, typer.Option(help="Those after this one: the next page.")] = -1,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    json: _Json = False,
) -> None:
    """Show the calls of one step with their outputs."""
    rows = run(_items(run_id, step, after=after, limit=limit))
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    cells = [
        (
            str(row.item),
            row.status.label,
            f"{row.provider}/{row.model}" if row.provider else "-",
            row.job_id or "-",
            _one_line(row),
        )
        for row in rows
    ]
    print_table(("ITEM", "STATE", "MODEL", "JOB", "OUTPUT OR ERROR"), cells)


def cancel(run_id: _RunId, json: _Json = False) -> None:
    """End a run with its jobs and calls under way."""
    _print(run(_cancel(run_id)), json=json)


def resume(
    run_id: _RunId,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it, then print its output.")] = False,
    timeout_s: _Timeout = None,
    json: _Json = False,
) -> None:
    """Let a failed or cancelled run go on with what did not succeed."""
    found = run(_resume(run_id))
    if wait:
        _print_end(run(_wait(run_id, timeout_s)), json=json)
    else:
        _print(found, json=json)


def _inputs(pairs: Sequence[str], file: str | None) -> dict[str, Any]:
    """Inputs from a file, with those of options laid over them. Raises InvalidJob."""
    import orjson

    from penstock_schemas.errors import InvalidJob

    given: Any = {}
    if file is not None:
        try:
            given = orjson.loads(read_text(file, "inputs"))
        except orjson.JSONDecodeError as error:
            raise InvalidJob(f"inputs: {file} is not JSON: {error}", field="inputs") from None
        if not isinstance(given, dict):
            raise InvalidJob(f"inputs: {file} is no JSON object", field="inputs")
    fields = cast("dict[str, Any]", given)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise InvalidJob(f"input: {pair!r} is not name=value", field="input")
        try:
            fields[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            fields[name] = value
    return fields


def _one_line(row: ItemResult) -> str:
    import orjson

    told = row.error if row.error is not None else orjson.dumps(row.output).decode()
    return told if len(told) <= 80 else told[:79] + "…"


def _print(result: RunResult, *, json: bool) -> None:
    if json:
        typer.echo(result.model_dump_json())
    else:
        print_run(result)


def _print_end(result: RunResult, *, json: bool) -> None:
    import orjson

    if json:
        typer.echo(result.model_dump_json())
    elif result.ok:
        output = result.output
        is_text = isinstance(output, str)
        shown = output if is_text else orjson.dumps(output, option=orjson.OPT_INDENT_2).decode()
        typer.echo(shown)
    else:
        print_run(result)
    if not result.ok:
        typer.echo(f"error: {result.error or result.status.label}", err=True)
        raise typer.Exit(1)


async def _start(
    skill: Skill | str,
    workspace: str,
    inputs: dict[str, Any],
    options: dict[str, Any],
    started: Callable[[str], None],
) -> str:
    async with connected() as penstock:
        handle = await penstock.runs.start(skill, workspace=workspace, inputs=inputs, **options)
        started(handle.run_id)
        return handle.run_id


async def _wait(run_id: str, timeout_s: float | None) -> RunResult:
    async with connected() as penstock:
        with RunView() as view:
            return await penstock.runs.result(run_id, timeout_s=timeout_s, progress=view.show)


async def _get(run_id: str) -> RunResult:
    async with connected() as penstock:
        return await penstock.runs.get(run_id)


async def _cancel(run_id: str) -> RunResult:
    async with connected() as penstock:
        return await penstock.runs.cancel(run_id)


async def _resume(run_id: str) -> RunResult:
    async with connected() as penstock:
        return await penstock.runs.resume(run_id)


async def _list(
    workspace: str,
    state: RunStateLabel | None,
    *,
    skill: str | None,
    before: str | None,
    limit: int,
) -> Sequence[RunRow]:
    from penstock_schemas.runs import RunState

    wanted = None if state is None else RunState.parse(state.value)
    async with connected() as penstock:
        return await penstock.runs.list(
            workspace, state=wanted, skill=skill, before=before, limit=limit
        )


async def _items(run_id: str, step: str, *, after: int, limit: int) -> Sequence[ItemResult]:
    async with connected() as penstock:
        return await penstock.runs.items(run_id, step, after=after, limit=limit)
