"""`penstock skills`: check a declaration, and keep skills by name for a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli.printing import print_json, print_table, shown_time
from penstock_client.cli.running import connected, read_text, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock_client.pipelines.skill import Skill
    from penstock_client.pipelines.skills import SkillRow

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_File = Annotated[str, typer.Argument(help="A file of YAML or JSON; - is stdin.")]
_Workspace = Annotated[str, typer.Argument(help="The workspace.")]


def register(app: typer.Typer) -> None:
    """Adds `penstock skills` with `check`, `put`, `list`, `show` and `remove`."""
    sub = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock skills check examples/pipeline_hygiene.yaml",
    )
    sub.command("check", epilog="Example: penstock skills check pipeline.yaml --json")(check)
    sub.command("put", epilog="Example: penstock skills put acme pipeline.yaml")(put)
    sub.command("list", epilog="Example: penstock skills list acme --json")(list_skills)
    sub.command("show", epilog="Example: penstock skills show acme pipeline-hygiene")(show)
    sub.command("remove", epilog="Example: penstock skills remove acme pipeline-hygiene")(remove)
    app.add_typer(sub, name="skills", help="Pipelines: declared once, run by name.")


def check(file: _File, json: _Json = False) -> None:
    """Read a skill and show its steps; exits with 2 and names step and field of a mistake.

    Needs neither Redis nor Postgres.
    """
    skill = read_skill(file)
    if json:
        print_json(skill.definition())
        return
    steps = f"{len(skill.steps)} step{'s' if len(skill.steps) != 1 else ''}"
    typer.echo(f"skill {skill.name}: {steps} ({skill.digest})")
    _print_steps(skill)


def put(workspace: _Workspace, file: _File, json: _Json = False) -> None:
    """Let a skill's name stand for this declaration. Runs under way keep theirs."""
    row = run(_put(workspace, read_skill(file)))
    if json:
        print_json(_as_json(row))
        return
    typer.echo(f"workspace {row.workspace} has the skill {row.name} ({row.digest})")


def list_skills(workspace: _Workspace, json: _Json = False) -> None:
    """List a workspace's skills."""
    rows = run(_list(workspace))
    if json:
        print_json([_as_json(row) for row in rows])
        return
    cells = [
        (row.name, str(len(row.skill.steps)), row.digest, shown_time(row.updated_at))
        for row in rows
    ]
    print_table(("SKILL", "STEPS", "DIGEST", "SINCE (UTC)"), cells)


def show(
    workspace: _Workspace, name: Annotated[str, typer.Argument()], json: _Json = False
) -> None:
    """Show a skill's steps; with --json its declaration, as `put` takes it."""
    row = run(_get(workspace, name))
    if json:
        print_json(row.skill.definition())
        return
    typer.echo(f"skill {row.name} of workspace {row.workspace} ({row.digest})")
    if row.skill.description:
        typer.echo(row.skill.description)
    _print_steps(row.skill)


def remove(workspace: _Workspace, name: Annotated[str, typer.Argument()]) -> None:
    """Let a name stand for no skill any more; its runs stay."""
    run(_remove(workspace, name))
    typer.echo(f"workspace {workspace} has no skill {name} any more")


def read_skill(file: str) -> Skill:
    """The skill of a file, or of stdin for `-`; raises InvalidJob."""
    from penstock_client.pipelines.skill import Skill, read_document

    return Skill.parse(read_document(read_text(file, "file"), origin=file))


def _print_steps(skill: Skill) -> None:
    plan = skill.plan.steps
    rows = [
        (
            each.step.name,
            each.step.type,
            ", ".join(plan[at].step.name for at in each.before) or "-",
            each.step.for_each or "-",
            getattr(each.step, "function", None)
            or getattr(each.step, "capability", None)
            or each.step.type,
        )
        for each in plan
    ]
    print_table(("STEP", "TYPE", "AFTER", "FOR EACH", "FUNCTION OR CAPABILITY"), rows)


def _as_json(row: SkillRow) -> dict[str, Any]:
    return {
        "workspace": row.workspace,
        "name": row.name,
        "digest": row.digest,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "skill": row.skill.definition(),
    }


async def _put(workspace: str, skill: Skill) -> SkillRow:
    async with connected() as penstock:
        return await penstock.skills.put(workspace, skill)


async def _list(workspace: str) -> Sequence[SkillRow]:
    async with connected() as penstock:
        return await penstock.skills.list(workspace)


async def _get(workspace: str, name: str) -> SkillRow:
    async with connected() as penstock:
        return await penstock.skills.get(workspace, name)


async def _remove(workspace: str, name: str) -> None:
    async with connected() as penstock:
        await penstock.skills.remove(workspace, name)
