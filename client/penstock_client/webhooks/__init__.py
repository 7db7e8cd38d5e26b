"""Webhooks: who is told of the ends of jobs, runs and backfills, and how receivers check it.

Receivers need `verify` alone; `penstock.webhooks` (`service.Webhooks`) has secrets and deliveries.
A steward sends what is due: `penstock_worker.webhooks`.
"""

from penstock_client.webhooks.signing import verify
from penstock_schemas.errors import WebhookRefused
from penstock_schemas.webhooks import WebhookEvent

__all__ = ["WebhookEvent", "WebhookRefused", "verify"]
