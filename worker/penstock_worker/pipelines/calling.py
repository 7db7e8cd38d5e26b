"""One call of a COMPUTE function: its arguments in, JSON out; what goes wrong as one line."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call
from pydantic_core import PydanticSerializationError, from_json, to_json

from penstock_client.pipelines.steps import called_without, is_compute
from penstock_schemas.errors import ConfigurationError

#: An output has at most so many bytes as JSON.
MOST_OUTPUT = 16 * 2**20
_MOST_MESSAGE = 2000
Function = Callable[..., Any]
_ANY_TYPES = ConfigDict(arbitrary_types_allowed=True)


class CallFailed(Exception):
    """A call that failed; `again`: it may go better another time."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message[:_MOST_MESSAGE])
        self.again = again


def load_functions(module: str) -> dict[str, Function]:
    """The marked functions of a module, which is imported; the working directory is searched too.

    Raises ConfigurationError for a module that cannot be imported, or that has none.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a module does while it is imported
        told = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"--compute: {module} cannot be imported: {told}") from None
    found = {name: value for name, value in vars(imported).items() if is_compute(value)}
    if not found:
        raise ConfigurationError(
            f"--compute: {module} has no function that is marked with @compute"
        )
    return found


async def call_function(function: Function, arguments: bytes, *, timeout_s: float) -> bytes:
    """Call a function with JSON arguments; its output as JSON. Raises CallFailed."""
    given: Mapping[str, Any] = from_json(arguments)
    told = called_without(function, given)
    if told is not None:
        raise CallFailed(f"{function.__name__}: {told}", again=False)
    checked: Function = validate_call(config=_ANY_TYPES)(function)
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            if inspect.iscoroutinefunction(function):
                output = await checked(**given)
            else:
                output = await _in_thread(lambda: checked(**given))
    except TimeoutError:
        if limit.expired():
            raise CallFailed(f"{function.__name__} took longer than {timeout_s:g} s") from None
        raise CallFailed(f"{function.__name__}: TimeoutError") from None
    except ValidationError as error:
        if error.title != function.__name__:  # of the function's own making
            raise CallFailed(f"{function.__name__}: {_plain(error)}") from error
        raise CallFailed(f"{function.__name__}: {_refused(error)}", again=False) from None
    except Exception as error:
        raise CallFailed(f"{function.__name__}: {_plain(error)}") from error
    return _encoded(function, output)


def _encoded(function: Function, output: Any) -> bytes:
    try:
        body = to_json(output, inf_nan_mode="null")
    except PydanticSerializationError as error:
        told = f"{function.__name__} returned what JSON cannot hold: {error}"
        raise CallFailed(told, again=False) from None
    if len(body) > MOST_OUTPUT:
        told = f"{function.__name__} returned {len(body):,} bytes; {MOST_OUTPUT:,} is the most"
        raise CallFailed(told, again=False)
    return body


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run work in a thread of its own, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def tell(output: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(output)
        else:
            done.set_exception(error)

    def run() -> None:
        output, failure = None, None
        try:
            output = work()
        except StopIteration as error:  # which no future can hold
            failure = RuntimeError(f"StopIteration: {error}")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is told
            failure = error if isinstance(error, Exception) else RuntimeError(_plain(error))
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, output, failure)

    threading.Thread(target=run, name="penstock-compute", daemon=True).start()
    return await done


def _plain(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _refused(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:5])
