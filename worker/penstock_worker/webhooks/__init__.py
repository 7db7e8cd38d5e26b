"""Sends what webhooks are to be told: in the steward, beside its other duties."""
