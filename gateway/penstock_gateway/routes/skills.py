"""Skills by name: put, list, look up, remove."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from penstock_client.pipelines.skill import Skill
from penstock_gateway.auth import Connected, JobsReader, JobsWriter, workspace_of
from penstock_gateway.bodies import check_entries, read_json, takes
from penstock_gateway.naming import Text, WorkspaceQuery
from penstock_gateway.problems import Refused
from penstock_gateway.run_bodies import SKILL_EXAMPLE, SkillPage, SkillView

router = APIRouter(prefix="/v1/skills", tags=["pipelines"])


async def _given(request: Request) -> Skill:
    return declared(await read_json(request))


def declared(document: Any) -> Skill:
    """A skill from its JSON; raises Refused and InvalidJob."""
    if not isinstance(document, dict):
        raise Refused(422, "a skill is a JSON object", kind="invalid")
    check_entries(document)
    return Skill.parse(document)


@router.post("", summary="Put a skill", openapi_extra=takes("Skill", SKILL_EXAMPLE))
async def put_skill(
    identity: JobsWriter,
    skill: Annotated[Skill, Depends(_given)],
    penstock: Connected,
    workspace: WorkspaceQuery = None,
) -> SkillView:
    """Let the skill's name stand for this declaration from now on; runs under way keep theirs.

    A declaration that does not hold together is refused by step and field. Needs the scope
    `jobs:write`.
    """
    of = workspace_of(identity, workspace)
    return SkillView.of(await penstock.skills.put(of, skill))


@router.get("", summary="List skills")
async def list_skills(
    identity: JobsReader,
    penstock: Connected,
    workspace: WorkspaceQuery = None,
    after: Text = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> SkillPage:
    """A workspace's skills by name. Needs the scope `jobs:read`."""
    of = workspace_of(identity, workspace)
    rows = await penstock.skills.list(of, after=after, limit=limit)
    following = rows[-1].name if len(rows) == limit else None
    return SkillPage(skills=[SkillView.of(row) for row in rows], next=following)


@router.get("/{skill}", summary="Get a skill")
async def get_skill(
    skill: str, identity: JobsReader, penstock: Connected, workspace: WorkspaceQuery = None
) -> SkillView:
    """The declaration that a name stands for. Needs the scope `jobs:read`."""
    of = workspace_of(identity, workspace)
    return SkillView.of(await penstock.skills.get(of, _name(skill)))


@router.delete("/{skill}", status_code=204, summary="Remove a skill")
async def remove_skill(
    skill: str, identity: JobsWriter, penstock: Connected, workspace: WorkspaceQuery = None
) -> None:
    """Let a name stand for no skill any more; its runs stay. Needs the scope `jobs:write`."""
    of = workspace_of(identity, workspace)
    await penstock.skills.remove(of, _name(skill))


def _name(text: str) -> str:
    if "\x00" in text:
        raise Refused(404, "no skill has such a name", kind="unknown-skill")
    return text
