"""Every shape that crosses a process in Penstock: jobs, results, usage, errors, catalogue, keys.

This distribution does no I/O and depends on pydantic alone, so that producers, workers and the
gateway can share it without sharing anything else.
"""

from penstock_schemas.errors import PenstockError
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Job, Reason
from penstock_schemas.messages import Message, Tool, ToolCall
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, FinishReason, JobState
from penstock_schemas.usage import Usage

__version__ = "0.1.0"

__all__ = [
    "Classify",
    "Embed",
    "ErrorInfo",
    "ErrorKind",
    "Extract",
    "FinishReason",
    "Generate",
    "Job",
    "JobState",
    "Message",
    "PenstockError",
    "Reason",
    "Result",
    "Tool",
    "ToolCall",
    "Usage",
    "__version__",
]
