"""Messages and tools as callers write them: OpenAI-style roles, provider-neutral parts.

Adapters translate these to each wire. Tool arguments are an object here whatever the wire
carries, with the raw text kept when it was not valid JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TextPart(_Frozen):
    """Plain text."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(_Frozen):
    """An image, by URL or as base64 bytes with a media type; exactly one of the two."""

    type: Literal["image"] = "image"
    url: str | None = None
    data: str | None = Field(default=None, description="base64")
    media_type: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ImagePart:
        if (self.url is None) == (self.data is None):
            raise ValueError("an image has either url or data")
        if self.data is not None and self.media_type is None:
            raise ValueError("image data needs its media_type, for example image/png")
        return self


class DocumentPart(_Frozen):
    """A document, by URL or as base64 bytes; exactly one of the two."""

    type: Literal["document"] = "document"
    url: str | None = None
    data: str | None = Field(default=None, description="base64")
    media_type: str = "application/pdf"
    title: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DocumentPart:
        if (self.url is None) == (self.data is None):
            raise ValueError("a document has either url or data")
        return self


Part = Annotated[TextPart | ImagePart | DocumentPart, Field(discriminator="type")]
Content = str | tuple[Part, ...]


class ReasoningPart(_Frozen):
    """What a model thought, to be sent back to the same provider word for word.

    `signature` vouches for `text`; `data` is reasoning that only the provider can read. Both mean
    nothing to any other provider than `provider`.
    """

    provider: str
    text: str = ""
    signature: str | None = None
    data: str | None = None
    id: str | None = None


class ToolCall(_Frozen):
    """A model's wish to call a tool.

    `arguments` is None when the model's text was not a JSON object; `raw_arguments` keeps it.
    `signature` is the provider's own mark on this call, for `signed_by` alone.
    """

    id: str
    name: str
    arguments: dict[str, JsonValue] | None = None
    raw_arguments: str | None = None
    signature: str | None = None
    signed_by: str | None = None


class Tool(_Frozen):
    """A function that a model may call; `parameters` is the JSON Schema of its arguments."""

    name: str = Field(min_length=1)
    description: str = ""
    parameters: dict[str, JsonValue] = Field(default_factory=lambda: {"type": "object"})


class NamedTool(_Frozen):
    """A tool choice that forces one tool by name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


class SystemMessage(_Frozen):
    """Instructions; `developer` means the same and is kept for OpenAI-style callers."""

    role: Literal["system", "developer"] = "system"
    content: str


class UserMessage(_Frozen):
    """What the user says: text or a sequence of parts."""

    role: Literal["user"] = "user"
    content: Content


class AssistantMessage(_Frozen):
    """What the model said earlier: its reasoning, text, and tool calls."""

    role: Literal["assistant"] = "assistant"
    content: Content = ""
    reasoning: tuple[ReasoningPart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


class ToolMessage(_Frozen):
    """The result of one tool call, by the call's ID."""

    role: Literal["tool"] = "tool"
    tool_call_id: str
    content: Content
    is_error: bool = False


Message = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]
