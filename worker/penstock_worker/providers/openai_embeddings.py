"""OpenAI's embeddings endpoint, and those of the providers that copied it.

Source: https://developers.openai.com/api/reference/resources/embeddings (2026-11-21)
"""

from __future__ import annotations

import math
from array import array
from base64 import b64decode
from typing import Any

import httpx

from penstock_schemas.jobs import Embed
from penstock_schemas.status import FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import decoded, estimated_usage, malformed
from penstock_worker.providers.failures import classify_error_body
from penstock_worker.providers.openai_answers import read_usage
from penstock_worker.providers.protocol import Answer, Built, Call
from penstock_worker.providers.reading import Object, as_list, as_object, is_list
from penstock_worker.providers.requests import lacks, request_of, unsupported

_PATH = "/embeddings"

#: Embeddings are near unit length; a float beyond this was never a float.
_LARGEST_FLOAT = 1e4


def build_embeddings(call: Call, job: Embed) -> Built:
    """The request of an embedding. Raises ProviderError(UNSUPPORTED) for refused `dimensions`."""
    body: Object = {"model": call.model.wire_id, "input": job.input}
    if job.dimensions is not None:
        if lacks(call, "dimensions"):
            raise unsupported(call, "dimensions", "this model has one size only")
        name = call.provider.renamed_parameters.get("dimensions", "dimensions")
        body[name] = job.dimensions
    return request_of(call, _PATH, body)


def read_embeddings(call: Call, job: Embed, response: httpx.Response) -> Answer:
    """One vector per input, in the order of the input, whatever order they came in.

    Raises ProviderError(MALFORMED_ANSWER) where one is missing or not of numbers.
    """
    body = decoded(call, response)
    if body.get("error"):
        raise classify_error_body(call, body, response, Usage())
    rows = [as_object(row) for row in as_list(body.get("data"))]
    if len(rows) != len(job.input):
        raise malformed(call, response, f"it has {len(rows)} vectors for {len(job.input)} texts")
    indexes = [row.get("index") for row in rows]
    if sorted(i for i in indexes if isinstance(i, int)) == list(range(len(rows))):
        rows.sort(key=lambda row: row["index"])
    vectors = tuple(_vector(row.get("embedding")) for row in rows)
    if not all(vectors):
        raise malformed(call, response, "a vector is missing or not of numbers")
    usage = read_usage(body.get("usage")) or estimated_usage(job, "")
    usage = Usage(input_tokens=usage.input_tokens, estimated=usage.estimated)
    return Answer(vectors=vectors, usage=usage, finish_reason=FinishReason.STOP)


def _vector(given: Any) -> tuple[float, ...]:
    """Floats from a list, or from base64 of little-endian float32 or (Perplexity) of int8."""
    if is_list(given):
        return tuple(given) if all(isinstance(n, float | int) for n in given) else ()
    if not isinstance(given, str):
        return ()
    try:
        raw = b64decode(given, validate=True)
    except ValueError:
        return ()
    return _floats(raw) or tuple(float(number) for number in array("b", raw))


def _floats(raw: bytes) -> tuple[float, ...]:
    if len(raw) % 4:
        return ()
    floats = array("f", raw)
    if array("H", [1]).tobytes() != b"\x01\x00":
        floats.byteswap()
    sound = all(math.isfinite(number) and abs(number) < _LARGEST_FLOAT for number in floats)
    return tuple(floats) if sound else ()
