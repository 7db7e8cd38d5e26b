"""Images and documents as parts of the Gemini wire: bytes inline, or a file that it fetches.

Source: https://ai.google.dev/gemini-api/docs/file-input-methods (2026-11-21)
Source: https://ai.google.dev/gemini-api/docs/image-understanding (2026-11-21)
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from penstock_schemas.messages import DocumentPart, ImagePart
from penstock_worker.providers.gemini_models import is_vertex
from penstock_worker.providers.protocol import Call
from penstock_worker.providers.reading import Object
from penstock_worker.providers.requests import unsupported

_IMAGES = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "webp", "heic", "heif", "bmp"))
_SAME = {"image/jpg": "image/jpeg"}
_BY_ENDING = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "csv": "text/csv",
}
#: All inline bytes of a request together, encoded. Larger ones go through its file store.
_MOST_INLINE_CHARS = 100 * 1024 * 1024


def media_part(call: Call, part: ImagePart | DocumentPart, warnings: list[str]) -> Object:
    """The part of an image or a document.

    Raises ProviderError(UNSUPPORTED) for an image format that the wire does not read, and for
    an address that Vertex AI would not fetch.
    """
    if isinstance(part, DocumentPart) and part.title is not None:
        warnings.append("messages: the title of a document was not sent, this wire has none")
    if part.url is None:
        return _inline(call, part, part.media_type or "", part.data or "")
    if part.url.startswith("data:"):
        head, _, data = part.url.removeprefix("data:").partition(",")
        if head.endswith(";base64"):
            return _inline(call, part, head.partition(";")[0], data)
        raise unsupported(call, "messages", "a data URL that is not base64")
    return _file(call, part, part.url)


def check_inline_size(call: Call, contents: Iterable[Object]) -> None:
    """Raises ProviderError(UNSUPPORTED) where the inline bytes exceed what a request may carry."""
    total = sum(
        len(part["inlineData"]["data"])
        for content in contents
        for part in content["parts"]
        if "inlineData" in part
    )
    if total > _MOST_INLINE_CHARS:
        raise unsupported(call, "messages", "more than 100 MB of inline images and documents")


def _inline(call: Call, part: ImagePart | DocumentPart, media_type: str, data: str) -> Object:
    media_type = _checked(call, part, media_type)
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _file(call: Call, part: ImagePart | DocumentPart, url: str) -> Object:
    media_type = part.media_type
    if isinstance(part, ImagePart) and media_type is None:
        media_type = _BY_ENDING.get(urlsplit(url).path.rpartition(".")[2].lower())
    if is_vertex(call) and not url.startswith("gs://"):
        raise unsupported(call, "messages", "Vertex AI fetches files from gs:// addresses only")
    if media_type is None:
        if url.startswith("gs://"):
            raise unsupported(call, "messages", "a gs:// address needs its media_type")
        return {"fileData": {"fileUri": url}}
    return {"fileData": {"mimeType": _checked(call, part, media_type), "fileUri": url}}


def _checked(call: Call, part: ImagePart | DocumentPart, media_type: str) -> str:
    media_type = media_type.lower()
    media_type = _SAME.get(media_type, media_type)
    if isinstance(part, ImagePart) and media_type not in _IMAGES:
        raise unsupported(call, "messages", f"images of type {media_type or 'unknown'}")
    return media_type
