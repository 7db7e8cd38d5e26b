"""`FakePenstock.skills`: the skills that workspaces have by name, kept in the process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from penstock_client.pipelines.skill import Skill
from penstock_client.pipelines.skills import MOST_BYTES, SkillRow, Skills
from penstock_schemas.errors import InvalidJob, UnknownSkill
from penstock_schemas.ids import WorkspaceId

if TYPE_CHECKING:
    from penstock_client.testing.fake import FakePenstock


class FakeSkills(Skills):
    """Skills by name; raises as `Skills` does, but for servers that are away."""

    def __init__(self, penstock: FakePenstock) -> None:
        self._fake = penstock
        self._rows: dict[tuple[str, str], SkillRow] = {}

    async def put(self, workspace: str, skill: Skill) -> SkillRow:
        """Let the skill's name stand for it from now on."""
        config = self._fake.workspace(workspace)
        await self.keep(config.workspace, skill)
        before, now = self._rows.get((workspace, skill.name)), datetime.now(UTC)
        row = SkillRow(
            workspace=config.workspace,
            name=skill.name,
            digest=skill.digest,
            created_at=now if before is None else before.created_at,
            updated_at=now,
            skill=Skill.parse(skill.definition()),
        )
        self._rows[workspace, skill.name] = row
        return row

    async def remove(self, workspace: str, name: str) -> None:
        """Let the name stand for no skill any more; raises UnknownSkill."""
        self._fake.workspace(workspace)
        if self._rows.pop((workspace, name), None) is None:
            raise UnknownSkill(workspace, name[:100])

    async def keep(self, workspace: WorkspaceId, skill: Skill, *, connection: Any = None) -> None:
        """Refuse a declaration that is too large to be kept."""
        if len(skill.encode()) > MOST_BYTES:
            raise InvalidJob(f"skill: is larger than {MOST_BYTES} bytes", field="skill")

    async def _list(
        self,
        workspace: str,
        *,
        name: str | None = None,
        after: str | None = None,
        limit: int = 1,
    ) -> Sequence[SkillRow]:
        self._fake.workspace(workspace)
        names = sorted(known for owner, known in self._rows if owner == workspace)
        found = [each for each in names if name in {None, each} and each > (after or "")]
        return [self._rows[workspace, each] for each in found[:limit]]
