"""The ledger: everything Penstock knows, in Postgres. Named queries in `queries/*.sql`."""

from penstock_client.ledger.ledger import Ledger, flow_of, standing_job
from penstock_client.ledger.migrate import apply_migrations, migrate, pending_migrations, seed
from penstock_client.ledger.rows import (
    CacheUse,
    Configuration,
    JobRow,
    NewJob,
    StandingJob,
    WorkspaceConfig,
)
from penstock_client.ledger.seeding import Seeded, seed_catalogue
from penstock_client.ledger.steering import OperatorSettings, Pause, Steering

__all__ = [
    "CacheUse",
    "Configuration",
    "JobRow",
    "Ledger",
    "NewJob",
    "OperatorSettings",
    "Pause",
    "Seeded",
    "StandingJob",
    "Steering",
    "WorkspaceConfig",
    "apply_migrations",
    "flow_of",
    "migrate",
    "pending_migrations",
    "seed",
    "seed_catalogue",
    "standing_job",
]
