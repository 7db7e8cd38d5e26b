"""`skills` over HTTP; each method promises what that of `Skills` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.skills import SkillRow, Skills
from penstock_client.remote.http import Http
from penstock_schemas.errors import InvalidJob
from penstock_schemas.ids import WorkspaceId

_ROW = TypeAdapter(SkillRow)


class RemoteSkills(Skills):
    """Skills by name."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def put(self, workspace: str, skill: Skill) -> SkillRow:
        """Let the skill's name stand for it from now on. Idempotent."""
        of = {"workspace": workspace}
        return _row(await self._http.ask("POST", "/v1/skills", skill.encode(), params=of))

    async def get(self, workspace: str, name: str) -> SkillRow:
        """The skill of that name; raises UnknownSkill."""
        return _row(await self._http.get(_path(name), {"workspace": workspace}))

    async def remove(self, workspace: str, name: str) -> None:
        """Let the name stand for no skill any more; raises UnknownSkill."""
        await self._http.ask(
            "DELETE", _path(name), params={"workspace": workspace}, repeatable=False
        )

    async def keep(self, workspace: WorkspaceId, skill: Skill, *, connection: Any = None) -> None:
        """Refused: a gateway keeps the declaration of each run by itself."""
        del connection
        told = f"skill: a gateway keeps {skill.name} with its runs in {workspace}; use `put`"
        raise InvalidJob(told, field="skill")

    async def list(
        self, workspace: str, *, after: str | None = None, limit: int = 1000
    ) -> Sequence[SkillRow]:
        """A workspace's skills by name; page on with `after`."""
        wanted = {"workspace": workspace, "after": after, "limit": limit}
        found = await self._http.get("/v1/skills", wanted)
        return [_row(each) for each in found["skills"]]


def _path(name: str) -> str:
    return f"/v1/skills/{quote(name, safe='')}"


def _row(shown: Mapping[str, Any]) -> SkillRow:
    return _ROW.validate_python({**shown, "skill": Skill.parse(shown["skill"])})
