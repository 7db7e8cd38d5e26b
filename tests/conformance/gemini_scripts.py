"""Simulated Gemini answers for the cases that the simulator does not give by itself.

Thoughts stand beside the candidates in the usage; a stream signs its text on an empty last part.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.scripted import Script
from tests.providers.gemini_calls import events, function_call, said, text

PROMPT = {"promptTokenCount": 100, "cachedContentTokenCount": 60}
USAGE = {**PROMPT, "candidatesTokenCount": 10, "thoughtsTokenCount": 20, "totalTokenCount": 130}
SIGNATURE = "c2lnbmVk"


def _script(
    parts: list[dict[str, Any]], pieces: list[dict[str, Any]], finish: str = "STOP"
) -> Script:
    """An answer of these parts; streamed, each piece is an event, and the last one ends it."""
    begun = {**PROMPT, "candidatesTokenCount": 0, "totalTokenCount": 100}
    early = [said(piece, finish=None, **begun) for piece in pieces[:-1]]
    ended = said(pieces[-1], finish=finish, **USAGE)
    return Script(said(*parts, finish=finish, **USAGE), events(*early, ended))


def _call(city: str, signature: str | None = None) -> dict[str, Any]:
    return function_call(signature=signature, args={"city": city})


SCRIPTS = {
    "filtered": _script([text("half")], [text("ha"), text("lf")], "SAFETY"),
    "thought": _script(
        [text("2 and 2", thought=True), text("4", thoughtSignature=SIGNATURE)],
        [
            text("2 and", thought=True),
            text(" 2", thought=True),
            text("4"),
            text("", thoughtSignature=SIGNATURE),
        ],
    ),
    "two_calls": _script(
        [_call("Oslo", SIGNATURE), _call("Rome")],
        [_call("Oslo", SIGNATURE), _call("Rome"), text("")],
    ),
}
