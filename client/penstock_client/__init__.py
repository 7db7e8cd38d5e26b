"""What producers import: hand typed jobs to Penstock and await their results by job ID.

async with Penstock.connect() as penstock:
    handle = await penstock.submit(Classify(workspace="acme", text="…", labels=["a", "b"]))
    result = await handle.result(timeout_s=60)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_client.client import Penstock
    from penstock_client.direct import DirectResult, call_direct
    from penstock_client.handle import Handle
    from penstock_client.pipelines.runs import RunHandle
    from penstock_client.pipelines.skill import Skill
    from penstock_client.pipelines.steps import ComputeStep, Condition, LLMStep, compute
    from penstock_client.producer import Producer
    from penstock_client.progress import Progress
    from penstock_client.provider_keys import KeyInfo
    from penstock_client.remote.client import RemotePenstock
    from penstock_client.settings import Settings
    from penstock_client.sync import SyncHandle, SyncPenstock
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
        InvalidId,
        InvalidJob,
        JobFailed,
        KeyRefused,
        KeyUntested,
        PenstockError,
        ResultTimeout,
        RunFailed,
        RunTimeout,
        Unavailable,
        UnknownBackfill,
        UnknownConfiguration,
        UnknownJob,
        UnknownKey,
        UnknownModel,
        UnknownProvider,
        UnknownRun,
        UnknownSkill,
        UnknownToken,
        UnknownWorkspace,
    )
    from penstock_schemas.runs import RunResult, RunState

#: Where each name stands. Imported when it is first asked for, so that `penstock --help` is fast.
_HOME = {
    "Classify": "penstock_schemas",
    "ComputeStep": "penstock_client.pipelines.steps",
    "Condition": "penstock_client.pipelines.steps",
    "ConfigurationError": "penstock_schemas.errors",
    "DirectResult": "penstock_client.direct",
    "Embed": "penstock_schemas",
    "ErrorInfo": "penstock_schemas",
    "ErrorKind": "penstock_schemas",
    "Extract": "penstock_schemas",
    "FinishReason": "penstock_schemas",
    "Generate": "penstock_schemas",
    "Handle": "penstock_client.handle",
    "InvalidId": "penstock_schemas.errors",
    "InvalidJob": "penstock_schemas.errors",
    "Job": "penstock_schemas",
    "JobFailed": "penstock_schemas.errors",
    "JobState": "penstock_schemas",
    "KeyInfo": "penstock_client.provider_keys",
    "KeyRefused": "penstock_schemas.errors",
    "KeyUntested": "penstock_schemas.errors",
    "LLMStep": "penstock_client.pipelines.steps",
    "Message": "penstock_schemas",
    "Penstock": "penstock_client.client",
    "PenstockError": "penstock_schemas.errors",
    "Producer": "penstock_client.producer",
    "Progress": "penstock_client.progress",
    "Reason": "penstock_schemas",
    "RemotePenstock": "penstock_client.remote.client",
    "Result": "penstock_schemas",
    "ResultTimeout": "penstock_schemas.errors",
    "RunFailed": "penstock_schemas.errors",
    "RunHandle": "penstock_client.pipelines.runs",
    "RunResult": "penstock_schemas.runs",
    "RunState": "penstock_schemas.runs",
    "RunTimeout": "penstock_schemas.errors",
    "Settings": "penstock_client.settings",
    "Skill": "penstock_client.pipelines.skill",
    "SyncHandle": "penstock_client.sync",
    "SyncPenstock": "penstock_client.sync",
    "Tool": "penstock_schemas",
    "ToolCall": "penstock_schemas",
    "Unavailable": "penstock_schemas.errors",
    "UnknownBackfill": "penstock_schemas.errors",
    "UnknownConfiguration": "penstock_schemas.errors",
    "UnknownJob": "penstock_schemas.errors",
    "UnknownKey": "penstock_schemas.errors",
    "UnknownModel": "penstock_schemas.errors",
    "UnknownProvider": "penstock_schemas.errors",
    "UnknownRun": "penstock_schemas.errors",
    "UnknownSkill": "penstock_schemas.errors",
    "UnknownToken": "penstock_schemas.errors",
    "UnknownWorkspace": "penstock_schemas.errors",
    "Usage": "penstock_schemas",
    "compute": "penstock_client.pipelines.steps",
    "__version__": "penstock_schemas",
    "call_direct": "penstock_client.direct",
}

__all__ = [
    "Classify",
    "ComputeStep",
    "Condition",
    "ConfigurationError",
    "DirectResult",
    "Embed",
    "ErrorInfo",
    "ErrorKind",
    "Extract",
    "FinishReason",
    "Generate",
    "Handle",
    "InvalidId",
    "InvalidJob",
    "Job",
    "JobFailed",
    "JobState",
    "KeyInfo",
    "KeyRefused",
    "KeyUntested",
    "LLMStep",
    "Message",
    "Penstock",
    "PenstockError",
    "Producer",
    "Progress",
    "Reason",
    "RemotePenstock",
    "Result",
    "ResultTimeout",
    "RunFailed",
    "RunHandle",
    "RunResult",
    "RunState",
    "RunTimeout",
    "Settings",
    "Skill",
    "SyncHandle",
    "SyncPenstock",
    "Tool",
    "ToolCall",
    "Unavailable",
    "UnknownBackfill",
    "UnknownConfiguration",
    "UnknownJob",
    "UnknownKey",
    "UnknownModel",
    "UnknownProvider",
    "UnknownRun",
    "UnknownSkill",
    "UnknownToken",
    "UnknownWorkspace",
    "Usage",
    "__version__",
    "call_direct",
    "compute",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found
