"""Gemini's embeddings: `embedContent` for one text, `batchEmbedContents` for several.

Source: https://ai.google.dev/api/embeddings (2026-11-21)
"""

from __future__ import annotations

import math
from typing import Any

import httpx

from penstock_schemas.jobs import Embed
from penstock_schemas.status import FinishReason
from penstock_schemas.usage import Usage
from penstock_worker.providers.answers import decoded, estimated_usage, malformed
from penstock_worker.providers.gemini_errors import error_in_answer
from penstock_worker.providers.gemini_models import is_vertex
from penstock_worker.providers.protocol import Answer, Built, Call
from penstock_worker.providers.reading import Object, as_count, as_list, as_object, is_list
from penstock_worker.providers.requests import lacks, request_of, unsupported

_MOST_TEXTS = 100


def build_embeddings(call: Call, job: Embed, path: str) -> Built:
    """The request of an embedding, for the model at `path`.

    Raises ProviderError(UNSUPPORTED) for refused `dimensions`, for more than 100 texts, and for
    several on Vertex AI, which takes one at a time.
    """
    if len(job.input) > (1 if is_vertex(call) else _MOST_TEXTS):
        raise unsupported(call, "input", f"at most {_MOST_TEXTS} texts, on Vertex AI one")
    if job.dimensions is not None and lacks(call, "dimensions"):
        raise unsupported(call, "dimensions", "this model has one size only")
    asked: list[Object] = [_asked(job, text) for text in job.input]
    if len(asked) == 1:
        return request_of(call, f"{path}:embedContent", asked[0])
    rows = [{"model": path.lstrip("/"), **row} for row in asked]
    return request_of(call, f"{path}:batchEmbedContents", {"requests": rows})


def read_embeddings(call: Call, job: Embed, response: httpx.Response) -> Answer:
    """One vector per text, in their order; usage is estimated where the answer names none.

    Raises ProviderError(MALFORMED_ANSWER) where one is missing or not of numbers.
    """
    body = decoded(call, response)
    if body.get("error"):
        raise error_in_answer(call, body, response, Usage())
    rows = [body["embedding"]] if "embedding" in body else as_list(body.get("embeddings"))
    if len(rows) != len(job.input):
        raise malformed(call, response, f"it has {len(rows)} vectors for {len(job.input)} texts")
    vectors = tuple(_vector(as_object(row).get("values")) for row in rows)
    if not all(vectors):
        raise malformed(call, response, "a vector is missing or not of numbers")
    counted = as_count(as_object(body.get("usageMetadata")).get("promptTokenCount"))
    usage = Usage(input_tokens=counted) if counted else estimated_usage(job, "")
    return Answer(vectors=vectors, usage=usage, finish_reason=FinishReason.STOP)


def _asked(job: Embed, text: str) -> Object:
    asked: Object = {"content": {"parts": [{"text": text}]}}
    return asked if job.dimensions is None else asked | {"outputDimensionality": job.dimensions}


def _vector(given: Any) -> tuple[float, ...]:
    if not is_list(given):
        return ()
    numbers = [n for n in given if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) < len(given) or not all(map(math.isfinite, numbers)):
        return ()
    return tuple(float(number) for number in numbers)
