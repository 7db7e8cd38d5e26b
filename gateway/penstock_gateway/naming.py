"""Parameters that many routes share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

#: Text that Postgres can compare with.
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")]
WorkspaceQuery = Annotated[
    str | None,
    Query(
        max_length=63,
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        description="The workspace; a token of one workspace need not say it.",
    ),
]
