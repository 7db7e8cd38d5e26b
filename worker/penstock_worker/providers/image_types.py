"""The image types that providers read, where they are fewer than any: others are refused here.

Asked by the adapters as they write an image. A provider that is not named decides for itself.
Source: https://developers.openai.com/api/docs/guides/images-vision (2026-11-21)
Source: https://platform.claude.com/docs/en/build-with-claude/vision (2026-11-21)
"""

from __future__ import annotations

from penstock_schemas.messages import ImagePart
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.requests import unsupported

_COMMON = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp"))
_READ_BY = {"openai": _COMMON, "azure": _COMMON, "anthropic": _COMMON}
_SAME = {"image/jpg": "image/jpeg"}


def image_type(call: Call, part: ImagePart) -> str | None:
    """The media type of an image as the wire names it; None for one that is given by its address.

    Raises ProviderError(UNSUPPORTED) for a type that the provider does not read.
    """
    given = part.media_type if part.url is None else _type_in(part.url)
    if given is None:
        return None
    found = _SAME.get(given.lower(), given.lower())
    if found not in _READ_BY.get(call.provider.name, {found}):
        raise unsupported(call, "messages", f"images of type {found or 'unknown'}")
    return found


def _type_in(url: str) -> str | None:
    """The type that a data URL names."""
    if not url.startswith("data:"):
        return None
    return url.removeprefix("data:").partition(",")[0].partition(";")[0]
