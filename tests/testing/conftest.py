"""The fixture as users ask for it, and a connection to answer jobs by hand."""

from __future__ import annotations

from penstock_client.testing.pytest import fake_penstock

__all__ = ["fake_penstock"]
