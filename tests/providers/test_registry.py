"""Every model of the catalogue whose wire is spoken takes every kind of job it is meant for."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.catalog import Model, catalog
from penstock_schemas.errors import ConfigurationError
from penstock_schemas.jobs import Classify, Extract, Reason
from penstock_worker.providers.protocol import AnyJob
from penstock_worker.providers.registry import adapter_for
from tests.providers.wire_calls import KEY, body_of, built, call_for, embed, generate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"enum": ["s", "m"]}},
    "required": ["name"],
}
SPOKEN = [
    model
    for model in catalog().models
    if catalog().provider(model.provider).wire in ("openai_chat", "anthropic")
]


def jobs_for(model: Model) -> list[AnyJob]:
    if model.kind == "embedding":
        return [embed("a", "b")]
    return [
        generate(prompt="hi", json=True, temperature=0.5, seed=1),
        Reason(workspace="acme", prompt="why?", max_tokens=64),
        Extract.model_validate({"workspace": "acme", "text": "Ann", "schema": SCHEMA}),
        Classify(workspace="acme", text="Ann", labels=("a", "b")),
        Classify(workspace="acme", text="Ann", labels=("a", "b"), multi=True),
    ]


@pytest.mark.parametrize("model", SPOKEN, ids=lambda model: model.ref)
def test_models_take_every_job_of_their_kind(model: Model) -> None:
    for job in jobs_for(model):
        body = body_of(job, model.ref)
        assert body["model"] == model.wire_id
        if model.reasoning:
            assert "temperature" not in body


def test_models_that_the_catalogue_lacks_are_sent_by_their_names() -> None:
    assert body_of(generate(prompt="hi"), "lmstudio/org/model")["model"] == "org/model"


def test_calls_and_requests_never_show_the_key() -> None:
    call = call_for(generate(prompt="hi"))
    assert KEY not in repr(call)
    assert KEY not in repr(built(generate(prompt="hi")))
    assert KEY not in str(built(generate(prompt="hi")).request.url)


def test_a_wire_that_is_not_spoken_is_a_configuration_error() -> None:
    unspoken = catalog().provider("openai").model_copy(update={"wire": "carrier_pigeon"})
    with pytest.raises(ConfigurationError, match="carrier_pigeon"):
        adapter_for(unspoken)
