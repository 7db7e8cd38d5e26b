"""The parts of one Gemini answer, gathered in order, whole or as they stream in.

Shared by `gemini_answers` and its stream decoder, so that both come to the same `Answer`. Text and
thoughts come in runs; a signature ends its run, and one on an empty part signs the run before it,
which is how streams send it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from penstock_schemas.jobs import Embed
from penstock_schemas.messages import ReasoningPart, ToolCall
from penstock_worker.providers.gemini_models import SIGNER
from penstock_worker.providers.gemini_names import own_gemini_name
from penstock_worker.providers.protocol import Call, Delta
from penstock_worker.providers.reading import Object, as_object, as_text
from penstock_worker.providers.tool_wire import arguments_text, read_call

_SPAN = re.compile(r"text\[(\d+):(\d+)\]")
_SILENT = frozenset(["thought", "thoughtSignature", "text", "partMetadata", "videoMetadata"])


@dataclass(slots=True)
class _Run:
    """Consecutive pieces of text or of thought, up to a signature."""

    kind: Literal["text", "thought"]
    text: str
    signature: str | None = None


@dataclass(slots=True)
class Parts:
    """What the parts of an answer say so far."""

    call: Call
    calls: list[ToolCall] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    _runs: list[_Run] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text that is no thought."""
        return "".join(run.text for run in self._runs if run.kind == "text")

    @property
    def reasoning(self) -> tuple[ReasoningPart, ...]:
        """The thoughts, and for each signed piece of the text a part that says where it stands."""
        found: list[ReasoningPart] = []
        at = 0
        for run in self._runs:
            if run.kind == "thought":
                found.append(ReasoningPart(provider=SIGNER, text=run.text, signature=run.signature))
                continue
            end = at + len(run.text)
            if run.signature:
                place = f"text[{at}:{end}]"
                found.append(ReasoningPart(provider=SIGNER, signature=run.signature, id=place))
            at = end
        return tuple(found)

    def add(self, part: Object) -> Delta | None:
        """Take one part in; what it adds to a stream, if anything."""
        signature = as_text(part.get("thoughtSignature")) or None
        if "functionCall" in part:
            return self._add_call(as_object(part["functionCall"]), signature)
        if not part.keys() <= _SILENT:
            for strange in part.keys() - _SILENT:
                self.warnings[f"answer: left out a part of kind {strange[:40]}"] = None
        text = as_text(part.get("text"))
        kind: Literal["text", "thought"] = "thought" if part.get("thought") is True else "text"
        self._add_text(kind, text, signature)
        if not text:
            return None
        return Delta(reasoning=text) if kind == "thought" else Delta(text=text)

    def _add_text(self, kind: Literal["text", "thought"], text: str, signature: str | None) -> None:
        last = self._runs[-1] if self._runs else None
        runs_on = last is not None and last.kind == kind and last.signature is None
        if last is not None and runs_on and not (text and signature):
            last.text += text
            last.signature = signature
        elif text or signature:
            self._runs.append(_Run(kind, text, signature))

    def _add_call(self, called: Object, signature: str | None) -> Delta:
        tools = () if isinstance(self.call.job, Embed) else self.call.job.tools
        index = len(self.calls)
        made = read_call(
            call_id=called.get("id"),
            name=own_gemini_name(as_text(called.get("name")), tools),
            arguments=called.get("args"),
            tools=tools,
            fallback_id=f"call_{self.call.request_id[-12:]}_{index}",
        )
        if signature:
            made = made.model_copy(update={"signature": signature, "signed_by": SIGNER})
        self.calls.append(made)
        return Delta(
            tool_index=index, tool_id=made.id, tool_name=made.name, arguments=arguments_text(made)
        )


def signed_span(part: ReasoningPart) -> tuple[int, int, str] | None:
    """Where in the text the piece stands that this part signs; None for a thought."""
    found = _SPAN.fullmatch(part.id or "")
    if found is None or part.signature is None:
        return None
    return int(found[1]), int(found[2]), part.signature
