"""The simulator's own interface under `/_sim/`: faults, limits, strangers, latency, counts.

POST faults | limits | stranger | latency | reset, GET stats | faults | health, DELETE faults.
Bodies are JSON; a wrong one is answered 400 `{"error": …}` saying what to change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import orjson
from aiohttp import web

from . import delivery
from .faults import Fault
from .handling import State
from .request import JsonObject, is_object

_FAULT_FIELDS = frozenset(f.name for f in fields(Fault)) - {"id"}
_Action = Callable[[State, JsonObject], JsonObject]


def _add_fault(state: State, body: JsonObject) -> JsonObject:
    unknown = set(body) - _FAULT_FIELDS
    if unknown:
        known = ", ".join(sorted(_FAULT_FIELDS))
        raise ValueError(f"unknown field {min(unknown)!r}; known are {known}")
    given = body.get("body")
    if given is not None and not isinstance(given, str):
        body = {**body, "body": orjson.dumps(given).decode()}
    return {"id": state.faults.add(Fault(**body))}


def _clear_faults(state: State, query: JsonObject) -> JsonObject:
    identity = query.get("id")
    cleared = state.faults.clear(
        fault_id=None if identity is None else int(identity), provider=query.get("provider")
    )
    return {"cleared": cleared}


def _list_faults(state: State, _query: JsonObject) -> JsonObject:
    return {"faults": [_told(fault) for fault in state.faults.listed()]}


def _told(fault: Fault) -> JsonObject:
    """A fault as it was given, with no more of its key than the end."""
    return asdict(fault) | {"key": fault.key and f"…{fault.key[-4:]}"}


def _set_limits(state: State, body: JsonObject) -> JsonObject:
    state.limits.set(
        body.get("provider") or "*",
        requests_per_minute=body.get("requests_per_minute"),
        tokens_per_minute=body.get("tokens_per_minute"),
        tokens=body.get("tokens"),
        slice_s=body.get("slice_s", 1.0),
    )
    return {"ok": True}


def _set_stranger(state: State, body: JsonObject) -> JsonObject:
    provider, share = body.get("provider"), body.get("share")
    if not isinstance(provider, str) or not isinstance(share, int | float):
        raise ValueError("give the provider and a share between 0 and 1")
    state.limits.set_stranger(provider, share, now_s=time.monotonic())
    return {"ok": True}


def _set_latency(state: State, body: JsonObject) -> JsonObject:
    state.latency.set(
        body.get("provider") or "*",
        latency_ms=body.get("latency_ms", 0),
        jitter_ms=body.get("jitter_ms", 0),
    )
    return {"ok": True}


def _stats(state: State, _query: JsonObject) -> JsonObject:
    return dict(state.snapshot())


def _reset(state: State, _body: JsonObject) -> JsonObject:
    """Counts and the prompt cache start again; all that was set stays."""
    state.reset()
    return {"ok": True}


def _health(_state: State, _query: JsonObject) -> JsonObject:
    return {"ok": True, "simulated": True}


_ACTIONS: dict[tuple[str, str], _Action] = {
    ("POST", "faults"): _add_fault,
    ("GET", "faults"): _list_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "limits"): _set_limits,
    ("POST", "stranger"): _set_stranger,
    ("POST", "latency"): _set_latency,
    ("GET", "stats"): _stats,
    ("POST", "reset"): _reset,
    ("GET", "health"): _health,
}


async def handle_control(request: web.BaseRequest, name: str, state: State) -> web.Response:
    """Answer a request to `/_sim/<name>`."""
    action = _ACTIONS.get((request.method, name))
    if action is None:
        return _json({"error": f"no {request.method} /_sim/{name}"}, status=404)
    try:
        given: Any = dict(request.query)
        if request.method == "POST":
            given = orjson.loads(await request.content.read() or b"{}")
            if not is_object(given):
                raise ValueError("the body must be a JSON object")
        return _json(action(state, given))
    except (ValueError, TypeError) as error:
        return _json({"error": str(error)}, status=400)


def _json(body: JsonObject, *, status: int = 200) -> web.Response:
    return delivery.whole(orjson.dumps(body), status=status)
