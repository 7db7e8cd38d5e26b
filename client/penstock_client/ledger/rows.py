"""What the ledger takes and gives, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from penstock_client.entries import Entry, Flow, capability_code
from penstock_schemas.errors import UnknownConfiguration
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.status import JobState
from penstock_schemas.workspaces import DEFAULT_CONFIGURATION, BudgetMode, OnBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as it is recorded and indexed: placed at the first of its routes.

    `owner` is the run or the backfill that it belongs to; its end is told to that and to `webhook`.
    """

    job_id: UUID
    workspace: str
    type: str
    capability: str
    provider: str
    model: str
    lane: int
    max_attempts: int
    input_tokens: int
    output_tokens: int
    deadline: datetime | None
    idempotency_key: str | None
    skill: str | None
    step: str | None
    agent: str | None
    task_type: str | None
    system_hash: str | None = None
    limit_tag: str | None = None
    max_queue_wait_s: float | None = None
    configuration: str = "default"
    session_key: str | None = None
    task_description: str | None = None
    trace: str | None = None
    owner: UUID | None = None
    webhook: str | None = None
    body: bytes

    @property
    def flow(self) -> Flow:
        """The flow that it queues in."""
        tag = self.limit_tag or ""
        return Flow(self.workspace, self.lane, self.model, tag, self.configuration)

    @property
    def entry(self) -> Entry:
        """What the index holds of it."""
        code = capability_code(self.capability)
        return Entry(self.job_id, self.input_tokens, self.output_tokens, capability=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingJob:
    """Where a job stands, as the index needs to know it; `wait_ms` until it may start."""

    job_id: UUID
    provider: str
    state: JobState
    fence: int | None
    flow: Flow
    entry: Entry
    wait_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A named configuration of a workspace; see `penstock_schemas.workspaces`.

    What it spent is of the day and the month that end at `day_resets_at` and `month_resets_at`;
    `usd_held` is reserved by calls under way.
    """

    name: str = DEFAULT_CONFIGURATION
    primary: str | None = None
    fallback: str | None = None
    task_routing: Mapping[str, str] = field(default_factory=dict[str, str])
    own_keys: bool = True
    temperature: float | None = None
    max_tokens: int | None = None
    daily_usd: Decimal | None = None
    monthly_usd: Decimal | None = None
    allow_unpriced: bool = False
    usd_today: Decimal = Decimal(0)
    usd_this_month: Decimal = Decimal(0)
    usd_held: Decimal = Decimal(0)
    day_resets_at: datetime | None = None
    month_resets_at: datetime | None = None

    @property
    def must_be_priced(self) -> bool:
        """Whether only models with a known price may run: there is a budget to keep."""
        has_budget = self.daily_usd is not None or self.monthly_usd is not None
        return has_budget and not self.allow_unpriced


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceConfig:
    """A workspace's configuration. `monthly_tokens` None is unlimited.

    `tokens_used` are those of the present month, `tokens_held` those reserved by calls under way.
    `weight` is its share of each provider beside others'. `providers` says which of them it has
    switched on and off (those that it does not name are on), `retention_days` how long prompts and
    answers are kept (None: for ever). `own_keys` are the providers that it has a key of its own
    for, with the key's fingerprint.
    """

    workspace: WorkspaceId
    routing: dict[str, tuple[str, ...]]
    monthly_tokens: int | None
    tokens_used: int
    budget_resets_at: datetime
    created_at: datetime
    weight: float = 1.0
    tokens_held: int = 0
    providers: Mapping[str, bool] = field(default_factory=dict[str, bool])
    time_zone: str = "UTC"
    budget_mode: BudgetMode = "soft"
    on_budget: OnBudget = "fail"
    retention_days: int | None = None
    default_configuration: str = DEFAULT_CONFIGURATION
    configurations: Mapping[str, Configuration] = field(
        default_factory=lambda: {DEFAULT_CONFIGURATION: Configuration()}
    )
    own_keys: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def disabled(self) -> frozenset[str]:
        """The providers that are switched off."""
        return frozenset(name for name, enabled in self.providers.items() if not enabled)

    def configuration(self, name: str | None) -> Configuration:
        """The named configuration, the default one for None; raises UnknownConfiguration."""
        wanted = self.default_configuration if name is None else name
        found = self.configurations.get(wanted)
        if found is None:
            raise UnknownConfiguration(self.workspace, wanted, tuple(self.configurations))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job in a list."""

    job_id: JobId
    workspace: WorkspaceId
    type: str
    capability: str
    provider: str
    model: str
    state: JobState
    lane: int
    attempts: int
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    skill: str | None
    step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """How one system prompt fared in the prompt cache of one model.

    `system_hash` None stands for all jobs that did not ask for caching. `calls` are those that the
    provider gave figures for, `hits` those of them that read from its cache; `input_tokens`
    contain what was read and written. `simulated` where any of the answers were. `saved_usd` is by
    today's prices: None where one is unknown, below 0 where the writes cost more than the reads
    saved.
    """

    provider: str
    model: str
    system_hash: str | None
    calls: int
    hits: int
    input_tokens: int
    read_tokens: int
    written_tokens: int
    saved_usd: Decimal | None
    simulated: bool
    first_used_at: datetime
    last_used_at: datetime

    @property
    def hit_rate(self) -> float:
        """The share of calls that read from the cache, 0 to 1."""
        return self.hits / self.calls
