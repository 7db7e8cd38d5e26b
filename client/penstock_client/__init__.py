"""What producers import: hand typed jobs to Penstock and await their results by job ID.

async with Penstock.connect() as penstock:
    handle = await penstock.submit(Classify(workspace="acme", text="…", labels=["a", "b"]))
    result = await handle.result(timeout_s=60)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_client.client import Handle, Penstock
    from penstock_client.provider_keys import KeyInfo
    from penstock_client.settings import Settings
    from penstock_schemas import (
        Classify,
        Embed,
        ErrorInfo,
        ErrorKind,
        Extract,
        FinishReason,
        Generate,
        Job,
        JobState,
        Message,
        Reason,
        Result,
        Tool,
        ToolCall,
        Usage,
        __version__,
    )
    from penstock_schemas.errors import (
        ConfigurationError,
        InvalidJob,
        JobFailed,
        KeyRefused,
        KeyUntested,
        PenstockError,
        ResultTimeout,
        Unavailable,
        UnknownConfiguration,
        UnknownJob,
        UnknownKey,
        UnknownModel,
        UnknownProvider,
        UnknownToken,
        UnknownWorkspace,
    )

#: Where each name stands. Imported when it is first asked for, so that `penstock --help` is fast.
_HOME = {
    "Classify": "penstock_schemas",
    "ConfigurationError": "penstock_schemas.errors",
    "Embed": "penstock_schemas",
    "ErrorInfo": "penstock_schemas",
    "ErrorKind": "penstock_schemas",
    "Extract": "penstock_schemas",
    "FinishReason": "penstock_schemas",
    "Generate": "penstock_schemas",
    "Handle": "penstock_client.client",
    "InvalidJob": "penstock_schemas.errors",
    "Job": "penstock_schemas",
    "JobFailed": "penstock_schemas.errors",
    "JobState": "penstock_schemas",
    "KeyInfo": "penstock_client.provider_keys",
    "KeyRefused": "penstock_schemas.errors",
    "KeyUntested": "penstock_schemas.errors",
    "Message": "penstock_schemas",
    "Penstock": "penstock_client.client",
    "PenstockError": "penstock_schemas.errors",
    "Reason": "penstock_schemas",
    "Result": "penstock_schemas",
    "ResultTimeout": "penstock_schemas.errors",
    "Settings": "penstock_client.settings",
    "Tool": "penstock_schemas",
    "ToolCall": "penstock_schemas",
    "Unavailable": "penstock_schemas.errors",
    "UnknownConfiguration": "penstock_schemas.errors",
    "UnknownJob": "penstock_schemas.errors",
    "UnknownKey": "penstock_schemas.errors",
    "UnknownModel": "penstock_schemas.errors",
    "UnknownProvider": "penstock_schemas.errors",
    "UnknownToken": "penstock_schemas.errors",
    "UnknownWorkspace": "penstock_schemas.errors",
    "Usage": "penstock_schemas",
    "__version__": "penstock_schemas",
}

__all__ = [
    "Classify",
    "ConfigurationError",
    "Embed",
    "ErrorInfo",
    "ErrorKind",
    "Extract",
    "FinishReason",
    "Generate",
    "Handle",
    "InvalidJob",
    "Job",
    "JobFailed",
    "JobState",
    "KeyInfo",
    "KeyRefused",
    "KeyUntested",
    "Message",
    "Penstock",
    "PenstockError",
    "Reason",
    "Result",
    "ResultTimeout",
    "Settings",
    "Tool",
    "ToolCall",
    "Unavailable",
    "UnknownConfiguration",
    "UnknownJob",
    "UnknownKey",
    "UnknownModel",
    "UnknownProvider",
    "UnknownToken",
    "UnknownWorkspace",
    "Usage",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found
