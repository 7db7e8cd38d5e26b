"""`penstock.skills`: the skills that workspaces have by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from penstock_client.pipelines.rows import skill_of
from penstock_client.pipelines.skill import Skill
from penstock_schemas.errors import InvalidJob, UnknownSkill
from penstock_schemas.ids import WorkspaceId

if TYPE_CHECKING:
    from penstock_client.client import Penstock

#: A declaration has at most so many bytes as JSON.
MOST_BYTES = 2**20
#: Skills of one page at most.
MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillRow:
    """A skill that a workspace has by name."""

    workspace: WorkspaceId
    name: str
    digest: str
    created_at: datetime
    updated_at: datetime
    skill: Skill


class Skills:
    """Skills by name. Runs keep the declaration that they were started with.

    Every method raises UnknownWorkspace, and Unavailable where Postgres stays away.
    """

    def __init__(self, penstock: Penstock) -> None:
        self._penstock = penstock

    async def put(self, workspace: str, skill: Skill) -> SkillRow:
        """Let the skill's name stand for it from now on. Idempotent."""
        config = await self._penstock.workspaces.get(workspace)
        await self.keep(config.workspace, skill)
        args = (config.workspace, skill.name, skill.digest)
        await self._penstock.ledger.fetch_safely("skill_name", *args)
        return await self.get(workspace, skill.name)

    async def get(self, workspace: str, name: str) -> SkillRow:
        """The skill of that name; raises UnknownSkill."""
        for row in await self._list(workspace, name=name):
            return row
        raise UnknownSkill(workspace, name[:100])

    async def remove(self, workspace: str, name: str) -> None:
        """Let the name stand for no skill any more; its runs stay. Raises UnknownSkill."""
        await self._penstock.workspaces.get(workspace)
        if not await self._penstock.ledger.fetch_safely("skill_remove", workspace, name):
            raise UnknownSkill(workspace, name[:100])

    async def keep(self, workspace: WorkspaceId, skill: Skill, *, connection: Any = None) -> None:
        """Keep a declaration, so that runs can name it by its digest. Idempotent.

        Raises InvalidJob for one that is larger than a megabyte.
        """
        body = skill.encode()
        if len(body) > MOST_BYTES:
            raise InvalidJob(f"skill: is larger than {MOST_BYTES} bytes", field="skill")
        args = (workspace, skill.name, skill.digest, body.decode())
        if connection is None:
            await self._penstock.ledger.fetch_safely("skill_put", *args)
        else:
            await self._penstock.ledger.fetch("skill_put", *args, connection=connection)

    async def list(
        self, workspace: str, *, after: str | None = None, limit: int = 1000
    ) -> Sequence[SkillRow]:
        """A workspace's skills by name; page on with `after`."""
        return await self._list(workspace, after=after, limit=limit)

    async def _list(
        self,
        workspace: str,
        *,
        name: str | None = None,
        after: str | None = None,
        limit: int = 1,
    ) -> Sequence[SkillRow]:
        config = await self._penstock.workspaces.get(workspace)
        if not 1 <= limit <= MOST:
            raise InvalidJob(f"limit: must be 1 to {MOST}", field="limit")
        args = (config.workspace, name, after, limit)
        rows = await self._penstock.ledger.fetch_safely("skill_list", *args)
        return [
            SkillRow(
                workspace=config.workspace,
                name=row["name"],
                digest=row["digest"],
                created_at=row["created_at"],
                updated_at=row["updated_at"],
                skill=skill_of(row["definition"]),
            )
            for row in rows
        ]
