"""The one error of the embedded stack."""

from __future__ import annotations


class EmbeddedError(Exception):
    """An embedded server cannot run; one line that says why and what to do next."""
