"""Logs of a Penstock process: stable event names and fields, one line each, on stderr.

The libraries log through the standard library and add no handlers; a process that Penstock
starts calls `configure_logs` once. No prompts and no keys are ever logged.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(*, json: bool, level: str = "INFO") -> None:
    """Send this process's logs to stderr as `key=value` lines, or as JSON."""
    stamps = structlog.processors.TimeStamper(fmt="iso", utc=True)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            stamps,
            structlog.processors.format_exc_info,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("penstock").setLevel(level.upper())
