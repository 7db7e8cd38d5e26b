"""Identifiers as types of their own, so that a job ID is never passed where a workspace is meant.

A job ID is a UUIDv7 in its canonical text form, made by the client before anything is sent. Its
leading 48 bits are the Unix time in milliseconds, so IDs sort by creation and the tables that are
partitioned by time are partitioned by job ID. Source: RFC 9562, section 5.7.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

from penstock_schemas.errors import InvalidId

JobId = NewType("JobId", str)
WorkspaceId = NewType("WorkspaceId", str)

#: A lease's fencing token: a random positive 63-bit integer, compared for equality only.
Fence = NewType("Fence", int)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORKSPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def parse_job_id(text: str) -> JobId:
    """Return `text` as a canonical job ID; raises InvalidId when it is not a UUID."""
    try:
        return JobId(str(UUID(text)))
    except ValueError:
        raise InvalidId(text, "job") from None


def is_workspace_id(text: str) -> bool:
    """Whether `text` can name a workspace: lower case letters, digits and `._-`; at most 63."""
    return _WORKSPACE.fullmatch(text) is not None


def created_at(job_id: JobId) -> datetime:
    """The time at which a job's ID was made, in UTC, to the millisecond."""
    return datetime.fromtimestamp((UUID(job_id).int >> 80) / 1000, tz=UTC)


def first_id_at(moment: datetime) -> UUID:
    """The smallest ID that can be made at `moment`: the bound of a partition by time."""
    return UUID(int=((moment - _EPOCH) // timedelta(milliseconds=1)) << 80)
