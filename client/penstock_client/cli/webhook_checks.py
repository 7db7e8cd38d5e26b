"""The part of `penstock doctor` about webhooks: whether any wait that should have gone out."""

from __future__ import annotations

from typing import Any

from penstock_client.cli.provider_checks import Check


def judge_webhooks(counts: Any) -> Check:
    """What the numbers of `webhook_counts.sql` come to."""
    late, without, given_up = counts["late"], counts["without_secret"], counts["given_up"]
    if without:
        found = f"{without:,} deliveries wait: their workspaces have no signing secret"
        return Check("webhooks", "warn", found, "make one: `penstock webhooks secret WORKSPACE`")
    if late and counts["problem"]:
        found = f"{late:,} deliveries wait: {counts['problem']}"
        remedy = "start the steward with the private keys that workers have (docs/webhooks.md)"
        return Check("webhooks", "warn", found, remedy)
    if late:
        found = f"{late:,} deliveries have been due for over a minute"
        return Check("webhooks", "warn", found, "is a steward running? hosts that are slow hold up")
    if given_up:
        found = f"{given_up:,} deliveries were given up within a day"
        remedy = "see `penstock webhooks list WORKSPACE --state given_up`, and retry them"
        return Check("webhooks", "warn", found, remedy)
    return Check("webhooks", "ok", "nothing waits for long")
