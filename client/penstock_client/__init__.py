"""What producers import: hand typed jobs to Penstock and await their results by job ID.

async with Penstock.connect() as penstock:
    handle = await penstock.submit(Classify(workspace="acme", text="…", labels=["a", "b"]))
    result = await handle.result(timeout_s=60)
"""

from penstock_client.client import Handle, Penstock
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
    PenstockError,
    ResultTimeout,
    Unavailable,
    UnknownJob,
    UnknownModel,
    UnknownProvider,
    UnknownWorkspace,
)

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
    "UnknownJob",
    "UnknownModel",
    "UnknownProvider",
    "UnknownWorkspace",
    "Usage",
    "__version__",
]
