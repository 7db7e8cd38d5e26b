"""The ledger: everything Penstock knows, in Postgres. Named queries in `queries/*.sql`."""

from penstock_client.ledger.ledger import Ledger
from penstock_client.ledger.migrate import migrate, pending_migrations
from penstock_client.ledger.rows import JobRow, NewJob, StandingJob, WorkspaceConfig

__all__ = [
    "JobRow",
    "Ledger",
    "NewJob",
    "StandingJob",
    "WorkspaceConfig",
    "migrate",
    "pending_migrations",
]
