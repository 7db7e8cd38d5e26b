"""The system prompt of a job, and the short hash that names it in statistics of prompt caching.

The client records the hash with each job that asks its provider to cache its instructions.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import takewhile

from penstock_schemas.jobs import Classify, Embed, Extract, TextJob
from penstock_schemas.messages import SystemMessage

#: Hex digits of a hash: 64 bits, far more than the number of prompts that are ever told apart.
HASH_DIGITS = 16


def system_text(job: TextJob) -> str:
    """The caller's instructions as they are sent before everything else; empty where none are.

    That is `system`, the system messages that the conversation begins with, and the prompt of an
    `Extract` or `Classify` over a text, with an empty line between them. What a wire needs to be
    told about the form of the answer comes on top of it and is no part of it.
    """
    leading = takewhile(lambda message: isinstance(message, SystemMessage), job.messages or ())
    texts = [job.system or "", *(str(message.content) for message in leading)]
    if isinstance(job, Extract | Classify) and job.text is not None:
        texts.append(job.prompt or "")
    return "\n\n".join(text for text in texts if text.strip())


def system_hash(job: TextJob | Embed) -> str | None:
    """The first 16 hex digits of the SHA-256 of a job's instructions.

    None for a job that does not ask for their caching (`cache_system`), or has none.
    """
    if isinstance(job, Embed) or not job.cache_system:
        return None
    text = system_text(job)
    return sha256(text.encode()).hexdigest()[:HASH_DIGITS] if text else None
