"""Which answer a job of `FakePenstock` gets, and in which shape."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from penstock_client import (
    Classify,
    Embed,
    ErrorKind,
    Extract,
    Generate,
    JobState,
    Result,
    ToolCall,
)
from penstock_client.routing import AnyJob
from penstock_client.testing import FakePenstock
from penstock_schemas.errors import ProviderError

ASK = Generate(workspace="acme", prompt="Who are you?")
SORT = Classify(workspace="acme", text="It broke.", labels=("praise", "refund"))


class Contact(BaseModel):
    name: str
    mood: Literal["good", "bad"]
    age: int | None = None


async def answered(job: AnyJob, **given: Any) -> Result:
    async with FakePenstock(**given) as penstock:
        return await (await penstock.submit(job)).result(timeout_s=20)


async def test_generate_by_default_says_that_it_is_simulated() -> None:
    result = await answered(ASK)

    assert result.text == "simulated answer to: Who are you?"
    assert result.simulated


async def test_generate_in_json_by_default_is_an_object() -> None:
    result = await answered(Generate(workspace="acme", prompt="Who?", json=True))

    assert result.output == {"answer": "simulated answer to: Who?"}


async def test_classify_by_default_takes_the_first_label() -> None:
    assert (await answered(SORT)).output == "praise"


async def test_classify_of_several_by_default_takes_a_list() -> None:
    assert (await answered(SORT.model_copy(update={"multi": True}))).output == ["praise"]


async def test_extract_by_default_fills_its_model() -> None:
    result = await answered(Extract(workspace="acme", text="Ann", schema=Contact))

    assert result.output == Contact(name="simulated", mood="good")


async def test_embed_by_default_gives_equal_vectors_to_equal_texts() -> None:
    result = await answered(Embed(workspace="acme", input=("a", "b", "a"), dimensions=16))

    assert result.dimensions == 16
    assert result.vectors[0] == result.vectors[2] != result.vectors[1]


async def test_result_names_the_first_route_and_costs_nothing() -> None:
    result = await answered(Generate(workspace="acme", prompt="x", model="openai/gpt-4o-mini"))

    assert (result.provider, result.model) == ("openai", "gpt-4o-mini")
    assert result.cost_usd == 0
    assert result.usage.estimated
    assert result.usage.input_tokens > 0 < result.usage.output_tokens


async def test_function_answers_from_the_job() -> None:
    def shouted(job: AnyJob) -> str:
        assert isinstance(job, Generate)
        return (job.prompt or "").upper()

    assert (await answered(ASK, answers=shouted)).text == "WHO ARE YOU?"


async def test_function_may_be_async() -> None:
    async def late(job: AnyJob) -> str:
        return job.workspace

    assert (await answered(ASK, answers=late)).text == "acme"


async def test_function_that_gives_none_leaves_the_simulated_answer() -> None:
    assert (await answered(SORT, answers=lambda _: None)).output == "praise"


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"step": "judge", "skill": "sort"}, "of the step"),
        ({"skill": "sort"}, "of the skill"),
        ({}, "of the capability"),
        ({"capability": "other"}, "simulated answer to: Who are you?"),
    ],
)
async def test_mapping_takes_step_before_skill_before_capability(
    tags: dict[str, str], text: str
) -> None:
    answers = {"generate": "of the capability", "sort": "of the skill", "judge": "of the step"}

    assert (await answered(ASK.model_copy(update=tags), answers=answers)).text == text


async def test_mapping_may_hold_functions() -> None:
    answers = {"classify": lambda job: job.labels[-1]}

    assert (await answered(SORT, answers=answers)).output == "refund"


async def test_model_instance_answers_an_extract() -> None:
    job = Extract(workspace="acme", text="Ann", schema=Contact)
    contact = Contact(name="Ann", mood="bad", age=30)

    assert (await answered(job, answers=lambda _: contact)).output == contact


async def test_text_is_read_as_the_json_that_a_schema_asks_for() -> None:
    job = Extract(workspace="acme", text="Ann", schema=Contact)

    result = await answered(job, answers={"extract": '{"name": "Ann", "mood": "bad"}'})

    assert result.output == Contact(name="Ann", mood="bad")


async def test_tool_call_ends_the_turn() -> None:
    call = ToolCall(id="1", name="search", arguments={"q": "x"})

    result = await answered(ASK, answers=lambda _: call)

    assert result.tool_calls == (call,)
    assert result.finish_reason == "tool_calls"


async def test_one_vector_stands_for_each_input() -> None:
    job = Embed(workspace="acme", input=("a", "b"))

    result = await answered(job, answers={"embed": [0.5, 1]})

    assert result.vectors == ((0.5, 1.0), (0.5, 1.0))


async def test_result_is_given_under_the_id_of_its_job() -> None:
    made = Result.model_validate(
        {"job_id": "?", "workspace": "?", "status": "succeeded", "text": "hi", "provider": "me"}
    )

    async with FakePenstock(answers=lambda _: made) as penstock:
        handle = await penstock.submit(ASK)
        result = await handle.result()

    assert (result.job_id, result.workspace, result.text) == (handle.job_id, "acme", "hi")
    assert (result.provider, result.simulated) == ("me", True)


@pytest.mark.parametrize(
    ("job", "answer"),
    [
        (SORT, "blame"),
        (SORT, ["praise", "refund"]),
        (SORT, {"label": "praise"}),
        (Extract(workspace="acme", text="Ann", schema=Contact), {"name": "Ann"}),
        (Extract(workspace="acme", text="Ann", schema=Contact), "Ann"),
        (Embed(workspace="acme", input=("a", "b")), [[1.0]]),
        (Embed(workspace="acme", input=("a", "b")), "a"),
    ],
)
async def test_answer_that_its_job_cannot_take_is_invalid_output(job: AnyJob, answer: Any) -> None:
    result = await answered(job, answers=lambda _: answer)

    assert result.status is JobState.FAILED
    assert result.error is not None
    assert result.error.kind is ErrorKind.INVALID_OUTPUT


async def test_error_kind_as_answer_fails_the_job() -> None:
    result = await answered(ASK, answers=lambda _: ErrorKind.CONTENT_FILTER)

    assert result.error is not None
    assert (result.error.kind, result.error.provider) == ("content_filter", result.provider)


async def test_provider_error_fails_the_job_with_all_that_it_says() -> None:
    def refuses(_: AnyJob) -> str:
        raise ProviderError(ErrorKind.OVERLOADED, "busy", provider="openai", status=503)

    error = (await answered(ASK, answers=refuses)).error

    assert error is not None
    assert (error.kind, error.message, error.status) == ("overloaded", "busy", 503)


async def test_other_exception_is_an_internal_error() -> None:
    error = (await answered(ASK, answers=lambda _: ValueError("no"))).error

    assert error is not None
    assert (error.kind, error.message) == ("internal", "ValueError: no")


async def test_fails_goes_before_answers() -> None:
    given = {"answers": {"generate": "hi"}, "fails": {"generate": ErrorKind.REFUSAL}}

    assert (await answered(ASK, **given)).status is JobState.FAILED
    assert (await answered(SORT, **given)).ok


async def test_fails_can_be_all_jobs() -> None:
    assert not (await answered(SORT, fails=ErrorKind.QUOTA_EXHAUSTED)).ok
