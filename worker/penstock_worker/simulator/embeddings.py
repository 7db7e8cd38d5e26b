"""Hashed bag-of-words embeddings: texts that share words have vectors that point alike."""

from __future__ import annotations

from array import array
from base64 import b64encode
from math import sqrt
from sys import byteorder
from zlib import crc32

from .words import stems

_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "mistral-embed": 1024,
    "nomic-embed-text-v1.5": 768,
}
DEFAULT_DIMENSIONS = 256


def dimensions_of(model: str) -> int:
    """The native vector size of a model, 256 for unknown ones."""
    return _DIMENSIONS.get(model.rsplit("/", 1)[-1], DEFAULT_DIMENSIONS)


def embed(text: str, dimensions: int) -> list[float]:
    """The unit vector of a text; an empty text points along the first axis."""
    vector = [0.0] * dimensions
    for stem in stems(text) or text.split():
        code = crc32(stem.encode())
        vector[code % dimensions] += 1.0 if code >> 31 else -1.0
    length = sqrt(sum(value * value for value in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [value / length for value in vector]


def as_base64(vector: list[float]) -> str:
    """The vector as little-endian float32 in base64, as OpenAI's `encoding_format` gives it."""
    packed = array("f", vector)
    if byteorder == "big":
        packed.byteswap()
    return b64encode(packed.tobytes()).decode()
