"""What every wire must do with an ordinary job, whole and streamed, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.jobs import Classify, Extract
from penstock_schemas.status import ErrorKind, FinishReason
from penstock_worker.providers.failures import InvalidAnswer
from penstock_worker.simulator.faults import Fault
from tests.conformance import wires
from tests.conformance.conftest import Line
from tests.conformance.wires import WireRow
from tests.providers.streams import arguments_of, text_of, thoughts_of

PUMP = "The pump failed at noon. It was replaced by a new one in the evening."
WEATHER = {
    "name": "weather",
    "description": "Tells the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CLOCK = {"name": "clock", "parameters": {"type": "object", "properties": {}}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def called(*ids: str) -> dict[str, Any]:
    calls = [{"id": i, "name": "weather", "arguments": {"city": i}} for i in ids]
    return {"role": "assistant", "content": "I look.", "tool_calls": calls}


def result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_every_wire_of_the_catalogue_has_a_row(row: WireRow) -> None:
    assert not wires.missing()
    assert wires.spoken(row)


def test_every_case_has_a_script_or_cannot_come_up(row: WireRow) -> None:
    assert row.scripts.keys() | row.never == wires.CASES
    assert not row.scripts.keys() & row.never


async def test_text_is_answered_with_usage(line: Line) -> None:
    answer = await line.ask(prompt=PUMP)
    assert answer.text
    assert "pump" in answer.text
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0
    assert not answer.usage.estimated
    if line.stream:
        assert text_of(line.deltas) == answer.text


async def test_a_conversation_goes_on(line: Line) -> None:
    messages = [user("Hello."), said("Hello, how can I help?"), user(PUMP)]
    answer = await line.ask(messages=messages, system="Be brief.")
    assert "pump" in (answer.text or "")


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_instructions_are_heard(line: Line, role: str) -> None:
    asked = {"role": role, "content": "Answer with one of these labels: urgent, calm"}
    answer = await line.ask(messages=[asked, user("The pump is broken, this is urgent!")])
    assert answer.text in ("urgent", "calm")


async def test_late_instructions_are_no_error(line: Line) -> None:
    late = {"role": "system", "content": "From now on be brief."}
    assert (await line.ask(messages=[user("Hello."), said("Hi."), late, user(PUMP)])).text


async def test_results_of_parallel_calls_are_heard_in_any_order(line: Line) -> None:
    messages = [
        user("Weather in Oslo and Rome?"),
        called("oslo", "rome"),
        result("rome", "sunny"),
        result("oslo", "rainy"),
    ]
    answer = await line.ask(messages=messages, tools=[WEATHER])
    assert "rainy" in (answer.text or "")
    assert "sunny" in (answer.text or "")


async def test_a_call_without_result_is_made_good(line: Line) -> None:
    messages = [user("Weather?"), called("a", "b"), result("a", "sunny"), user("Go on.")]
    assert (await line.ask(messages=messages, tools=[WEATHER])).text


@wires.scripted("two_calls")
async def test_two_parallel_calls_come_back(line: Line, name: str) -> None:
    line.script(name)
    answer = await line.ask(prompt="Weather in Oslo and Rome?", tools=[WEATHER])
    assert [made.arguments for made in answer.tool_calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert len({made.id for made in answer.tool_calls}) == 2
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    if line.stream:
        assert arguments_of(line.deltas) == {0: '{"city":"Oslo"}', 1: '{"city":"Rome"}'}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (None, {"weather"}),
        ("auto", {"weather"}),
        ("required", {"weather"}),
        ({"name": "clock"}, {"clock"}),
        ("none", set[str]()),
    ],
)
async def test_tool_choice_decides(line: Line, choice: Any, names: set[str]) -> None:
    asked = "Tell me the weather of the city of Oslo."
    answer = await line.ask(prompt=asked, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert {made.name for made in answer.tool_calls} == names
    assert (answer.finish_reason is FinishReason.TOOL_CALLS) == bool(names)


async def test_parallel_calls_can_be_refused(line: Line) -> None:
    asked = "Tell me the weather of the city of Oslo."
    answer = await line.ask(prompt=asked, tools=[WEATHER], parallel_tool_calls=False)
    assert len(answer.tool_calls) == 1


async def test_a_schema_is_kept(line: Line) -> None:
    answer = await line.ask(prompt="Ada is 36 years old.", schema=PERSON)
    assert answer.output.keys() == {"name", "age"}
    assert answer.finish_reason is FinishReason.STOP


async def test_extract_reads_a_text(line: Line) -> None:
    fields = {"workspace": "acme", "text": "Ada is 36 years old.", "schema": PERSON}
    answer = await line.run(Extract.model_validate(fields))
    assert answer.output["age"] == 36


async def test_classify_gives_a_label(line: Line) -> None:
    job = Classify(workspace="acme", text="My card is lost", labels=("lost", "found"))
    assert (await line.run(job)).output == "lost"


async def test_json_mode_gives_a_value(line: Line) -> None:
    answer = await line.ask(prompt='Reply with \'{"name": "Ada"}\' as JSON', json=True)
    assert isinstance(answer.output, dict)


async def test_an_answer_against_the_schema_is_paid_and_invalid(line: Line) -> None:
    line.sim.faults.add(Fault(kind="schema_violation"))
    with pytest.raises(InvalidAnswer) as caught:
        await line.ask(prompt="Ada is 36 years old.", schema=PERSON)
    assert caught.value.kind is ErrorKind.INVALID_OUTPUT
    assert caught.value.usage.output_tokens > 0
    assert caught.value.text


async def test_images_are_sent(line: Line) -> None:
    image = {"type": "image", "data": PIXEL, "media_type": "image/png"}
    await line.ask(messages=[user([{"type": "text", "text": "What is this?"}, image])])
    assert PIXEL in str(line.sent)


async def test_images_in_tool_results_are_sent(line: Line) -> None:
    image = {"type": "image", "data": PIXEL, "media_type": "image/png"}
    shown = result("a", [{"type": "text", "text": "a chart"}, image])
    answer = await line.ask(messages=[user("Draw."), called("a"), shown], tools=[WEATHER])
    assert answer.text or answer.tool_calls
    assert PIXEL in str(line.sent)


async def test_a_stop_sequence_ends_the_answer(line: Line) -> None:
    if line.row.refuses_stop:
        with pytest.raises(ProviderError) as caught:
            await line.ask(prompt=PUMP, stop=["replaced"])
        assert caught.value.kind is ErrorKind.UNSUPPORTED
        return
    answer = await line.ask(prompt=PUMP, stop=["replaced"])
    assert "replaced" not in (answer.text or "")
    assert answer.finish_reason is FinishReason.STOP


async def test_a_cut_off_answer_says_so(line: Line) -> None:
    answer = await line.ask(prompt=PUMP, max_tokens=2)
    assert answer.text
    assert answer.finish_reason is FinishReason.LENGTH


async def test_a_cut_off_structured_answer_is_a_paid_failure(line: Line) -> None:
    texts = {f"description_{number}": {"type": "string"} for number in range(9)}
    schema = {"type": "object", "properties": texts, "required": list(texts)}
    with pytest.raises(InvalidAnswer) as caught:
        await line.ask(prompt=PUMP, schema=schema, max_tokens=2)
    assert caught.value.kind is ErrorKind.LENGTH
    assert caught.value.usage.output_tokens > 0


@wires.scripted("refusal")
async def test_a_refusal_is_a_paid_failure(line: Line, name: str) -> None:
    line.script(name)
    with pytest.raises(InvalidAnswer) as caught:
        await line.ask(prompt="hello")
    assert (caught.value.kind, caught.value.text) == (ErrorKind.REFUSAL, "I will not.")
    assert caught.value.usage.output_tokens == 30


@wires.scripted("filtered")
async def test_a_filtered_answer_is_a_paid_failure(line: Line, name: str) -> None:
    line.script(name)
    with pytest.raises(InvalidAnswer) as caught:
        await line.ask(prompt="hello")
    assert caught.value.kind is ErrorKind.CONTENT_FILTER
    assert caught.value.usage.output_tokens == 30


@wires.scripted("paused")
async def test_a_paused_turn_says_so(line: Line, name: str) -> None:
    line.script(name)
    assert (await line.ask(prompt="hello")).finish_reason is FinishReason.PAUSE


@wires.scripted("thought")
async def test_reasoning_stands_apart_and_usage_contains_all(line: Line, name: str) -> None:
    line.script(name)
    answer = await line.ask(prompt="What is 2 and 2?")
    assert (answer.text, answer.reasoning[0].text) == ("4", "2 and 2")
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_tokens) == (100, 60)
    assert (usage.output_tokens, usage.reasoning_tokens) == (30, 20)
    if line.stream:
        assert thoughts_of(line.deltas) == "2 and 2"


async def test_effort_is_asked_for(line: Line) -> None:
    await line.ask(ref=line.row.thinker, prompt=PUMP, effort="low")
    assert wires.at(line.sent, line.row.effort_is_in)
    assert not line.warnings


async def test_the_answer_is_the_same_whole_and_streamed(both: tuple[Line, Line]) -> None:
    for fields in (
        {"prompt": PUMP},
        {"prompt": PUMP, "max_tokens": 2},
        {"prompt": "Ada is 36 years old.", "schema": PERSON},
        {"prompt": "Tell me the weather of the city of Oslo.", "tools": [WEATHER]},
    ):
        answers: list[Any] = []
        for line in both:
            line.sim.reset()
            answers.append(await line.ask(**fields))
        assert answers[0] == answers[1]


@wires.scripted("thought", "two_calls")
async def test_scripted_answers_are_the_same_whole_and_streamed(
    both: tuple[Line, Line], name: str
) -> None:
    answers: list[Any] = []
    for line in both:
        line.script(name)
        answers.append(await line.ask(prompt="hello", tools=[WEATHER]))
    assert answers[0] == answers[1]
