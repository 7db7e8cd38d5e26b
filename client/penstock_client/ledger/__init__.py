"""The ledger: everything Penstock knows, in Postgres. Named queries in `queries/*.sql`."""

from penstock_client.ledger.ledger import Ledger
from penstock_client.ledger.migrate import apply_migrations, migrate, pending_migrations, seed
from penstock_client.ledger.rows import JobRow, NewJob, StandingJob, WorkspaceConfig
from penstock_client.ledger.seeding import Seeded, seed_catalogue

__all__ = [
    "JobRow",
    "Ledger",
    "NewJob",
    "Seeded",
    "StandingJob",
    "WorkspaceConfig",
    "apply_migrations",
    "migrate",
    "pending_migrations",
    "seed",
    "seed_catalogue",
]
