"""Addresses of requests: the base URL, the model's place in it, and the wire's path."""

from __future__ import annotations

import pytest

from penstock_schemas.jobs import Embed
from tests.providers.wire_calls import built, generate

DEPLOYMENT = "https://acme.openai.azure.com/openai/deployments/{model}?api-version=2024-10-21"


def address(ref: str, base_url: str) -> str:
    return str(built(generate(prompt="hi"), ref, base_url=base_url).request.url)


def test_address_of_a_deployment_has_the_model_in_it() -> None:
    assert address("azure/my-gpt", DEPLOYMENT) == (
        "https://acme.openai.azure.com/openai/deployments/my-gpt/chat/completions"
        "?api-version=2024-10-21"
    )


def test_address_of_a_deployment_for_embeddings() -> None:
    job = Embed(workspace="acme", input=("hi",))
    request = built(job, "azure/my-embeddings", base_url=DEPLOYMENT).request
    assert request.url.path == "/openai/deployments/my-embeddings/embeddings"
    assert request.url.query == b"api-version=2024-10-21"


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("a b", "a%20b"), ("org/big", "org%2Fbig"), ("x?y#z", "x%3Fy%23z"), ("chat", "chat")],
)
def test_address_has_the_model_as_one_part_whatever_its_name(name: str, quoted: str) -> None:
    sent = address(f"azure/{name}", DEPLOYMENT)
    assert sent.partition("?")[0].endswith(f"/deployments/{quoted}/chat/completions")


def test_address_may_have_the_model_in_its_host() -> None:
    sent = address("vllm/big", "http://{model}.models.internal:8000/v1")
    assert sent == "http://big.models.internal:8000/v1/chat/completions"


def test_address_has_a_models_wire_id_not_its_name() -> None:
    sent = address("fireworks/deepseek-v3", "http://127.0.0.1:9/{model}")
    assert sent == (
        "http://127.0.0.1:9/accounts%2Ffireworks%2Fmodels%2Fdeepseek-v3/chat/completions"
    )


def test_address_of_a_host_that_is_named_as_the_path_stays() -> None:
    assert address("vllm/big", "http://chat") == "http://chat/chat/completions"


def test_addresses_of_two_models_differ() -> None:
    assert address("azure/one", DEPLOYMENT) != address("azure/two", DEPLOYMENT)
