"""The instructions of a job as they are sent, and their hash."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from penstock_schemas.jobs import Classify, Embed, Extract, Generate, TextJob
from penstock_schemas.system_prompt import HASH_DIGITS, system_hash, system_text
from penstock_worker.providers.conversation import conversation_of


def generate(**fields: Any) -> Generate:
    given = fields if "messages" in fields else {"prompt": "hi", **fields}
    return Generate.model_validate({"workspace": "acme", "cache_system": True, **given})


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


LATE = (said("system", "two"), said("developer", "three"), said("user", "hi"), said("system", "4"))
JOBS: list[tuple[TextJob, str]] = [
    (generate(system="one"), "one"),
    (generate(), ""),
    (generate(system=" \n"), ""),
    (generate(system="one", messages=LATE), "one\n\ntwo\n\nthree"),
    (Classify(workspace="a", text="t", labels=("x",), system="one", prompt="how"), "one\n\nhow"),
    (Classify(workspace="a", labels=("x",), system="one", prompt="how"), "one"),
    (Extract(workspace="a", text="t", output_schema={"a": 1}, prompt="how"), "how"),
]


@pytest.mark.parametrize(("job", "text"), JOBS)
def test_text_is_what_the_instructions_are(job: TextJob, text: str) -> None:
    assert system_text(job) == text


@pytest.mark.parametrize("job", [job for job, _ in JOBS])
def test_text_is_what_adapters_send(job: TextJob) -> None:
    assert conversation_of(job).system == system_text(job)


def test_hash_is_the_beginning_of_the_sha256_of_the_text() -> None:
    assert system_hash(generate(system="ünder")) == sha256("ünder".encode()).hexdigest()[:16]
    assert HASH_DIGITS == 16


def test_hash_does_not_depend_on_where_the_instructions_stand() -> None:
    message = generate(messages=(said("system", "one"), said("user", "hi")))
    assert system_hash(message) == system_hash(generate(system="one", prompt="other"))
    assert system_hash(message) != system_hash(generate(system="two"))


@pytest.mark.parametrize(
    "job",
    [generate(system="one", cache_system=False), generate(), Embed(workspace="a", input=("x",))],
)
def test_hash_is_none_where_nothing_is_to_be_cached(job: TextJob | Embed) -> None:
    assert system_hash(job) is None
