"""COMPUTE functions of a run in the process: found by name and called as their workers do."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call
from pydantic_core import PydanticSerializationError, from_json, to_json

from penstock_client.pipelines.steps import called_without, is_compute

_ANY_TYPES = ConfigDict(arbitrary_types_allowed=True)


class CallFailed(Exception):
    """A call that failed; `again`: it may go better another time."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


async def call_function(function: str, arguments: bytes, *, timeout_s: float) -> bytes:
    """Call a function, `module:name`, with JSON arguments; its output as JSON. Raises CallFailed.

    One that is not async runs in a thread.
    """
    called, name = _found(function), function.partition(":")[2]
    given: Mapping[str, Any] = from_json(arguments)
    told = called_without(called, given)
    if told is not None:
        raise CallFailed(f"{name}: {told}", again=False)
    checked: Callable[..., Any] = validate_call(config=_ANY_TYPES)(called)
    try:
        async with asyncio.timeout(timeout_s):
            if inspect.iscoroutinefunction(called):
                output = await checked(**given)
            else:
                output = await asyncio.to_thread(checked, **given)
    except Exception as error:
        refused = isinstance(error, ValidationError) and error.title == name
        raise CallFailed(f"{name}: {type(error).__name__}: {error}", again=not refused) from error
    try:
        return to_json(output, inf_nan_mode="null")
    except PydanticSerializationError as error:
        told = f"{name} returned what JSON cannot hold: {error}"
        raise CallFailed(told, again=False) from None


def _found(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise CallFailed(f"{module} cannot be imported: {error}", again=False) from error
    if not is_compute(found):
        told = f"{function} is no function that is marked with @compute"
        raise CallFailed(told, again=False)
    return found
