"""What is sure to be unable to do a job is no route of it; where nothing is left, it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_client.routing import explain_route, routes_for
from penstock_schemas.catalog import catalog
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import Classify, Embed, Extract, Generate
from tests.client.routed import config

CATALOG = catalog()
TEXT_ONLY, SEES = "fireworks/deepseek-v3", "openai/gpt-4o"
TOOLLESS = "perplexity/sonar"
TOOL = {"name": "look"}
PICTURE = [
    {"role": "user", "content": [{"type": "image", "data": "x" * 900_000, "media_type": "i/png"}]}
]


def generate(**fields: Any) -> Generate:
    if "messages" not in fields:
        fields = {"prompt": "hi", **fields}
    return Generate.model_validate({"workspace": "acme", **fields})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": TEXT_ONLY, "messages": PICTURE}, "takes no images"),
        ({"model": TOOLLESS, "tools": [TOOL]}, "calls no tools"),
        ({"model": "openai/text-embedding-3-small"}, "makes embeddings only"),
        ({"model": "lmstudio/qwen2.5-7b-instruct", "prompt": "x" * 300_000}, "window of 32,768"),
    ],
)
def test_pinned_model_that_cannot_do_the_job_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidJob, match=why) as refused:
        routes_for(generate(**fields), config(), CATALOG)
    assert fields["model"] in str(refused.value)
    assert refused.value.field == "model"


def test_pinned_chat_model_makes_no_embeddings() -> None:
    with pytest.raises(InvalidJob, match="makes no embeddings"):
        routes_for(Embed(workspace="acme", input=("x",), model=SEES), config(), CATALOG)


@pytest.mark.parametrize("text", ["x" * 40_000, "x" * 60_000])
def test_embeddings_window_is_that_of_each_text(text: str) -> None:
    job = Embed(workspace="acme", input=(text,) * 3, model="openai/text-embedding-3-small")
    assert routes_for(job, config(), CATALOG) == (job.model,)


@pytest.mark.parametrize(
    "job",
    [
        generate(model="deepseek/deepseek-chat", schema={"type": "object"}),
        generate(model="google/gemini-1.5-pro"),
        generate(model="openai/gpt-4o", max_tokens=500_000),
        generate(model="lmstudio/qwen2.5-7b-instruct", prompt="x" * 140_000),
        generate(model="openai/gpt-99", messages=PICTURE),
        generate(model=SEES, messages=PICTURE, tools=[TOOL]),
        Embed(workspace="acme", input=("x",), model="lmstudio/bge-m3"),
        Classify(workspace="acme", text="x", labels=("a",), model="perplexity/sonar"),
        Extract(
            workspace="acme", text="x", output_schema={"type": "object"}, model="cohere/command-x"
        ),
    ],
)
def test_pinned_model_that_may_do_the_job_is_taken(job: Any) -> None:
    assert routes_for(job, config(), CATALOG) == (job.model,)


def test_routed_models_that_cannot_do_the_job_are_left_out() -> None:
    routing = config(generate=(TEXT_ONLY, SEES))
    assert routes_for(generate(messages=PICTURE), routing, CATALOG) == (SEES,)
    assert routes_for(generate(), routing, CATALOG) == (TEXT_ONLY, SEES)


def test_routing_without_any_model_for_the_job_is_refused_with_every_reason() -> None:
    routing = config(generate=(TEXT_ONLY, "groq/llama-3.1-8b-instant"))
    with pytest.raises(InvalidJob) as refused:
        routes_for(generate(messages=PICTURE), routing, CATALOG)
    assert str(refused.value).count("takes no images") == 2
    assert refused.value.field == "capability"


def test_explanation_of_a_refused_job_has_no_routes() -> None:
    explained = explain_route(generate(model=TEXT_ONLY, messages=PICTURE), config(), CATALOG)
    assert explained.routes == ()
    assert [(c.ref, c.taken, c.why) for c in explained.candidates] == [
        (TEXT_ONLY, False, "takes no images")
    ]


def test_bytes_of_images_are_not_counted_as_text() -> None:
    explained = explain_route(generate(model=SEES, messages=PICTURE), config(), CATALOG)
    assert explained.needs.input_tokens < 10_000


def test_explanation_agrees_with_the_routes_by_rule() -> None:
    for job in (generate(), generate(model=SEES), generate(capability="classify")):
        explained = explain_route(job, config(reason=(SEES,)), CATALOG)
        assert explained.routes == routes_for(job, config(reason=(SEES,)), CATALOG)
        assert [c.ref for c in explained.candidates if c.taken] == list(explained.routes)
