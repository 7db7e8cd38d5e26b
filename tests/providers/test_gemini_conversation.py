"""Gemini's wire: messages, results of calls, media, thoughts and signatures."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.messages import AssistantMessage
from penstock_schemas.status import ErrorKind
from tests.providers.gemini_calls import FLASH, THREE, VERTEX, WEATHER, function_call, said, text
from tests.providers.wire_calls import body_of, built, generate, parsed

ASK = {"role": "user", "content": "go"}
PIXEL = {"type": "image", "data": "aGk=", "media_type": "image/png"}


def calls(*names: str, **more: Any) -> dict[str, Any]:
    made = [{"id": name, "name": name, "arguments": {}} for name in names]
    return {"role": "assistant", "tool_calls": made, **more}


def result(of: str, content: Any = "done", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": of, "content": content, **more}


def contents(*messages: Any, ref: str = FLASH, **changes: Any) -> list[dict[str, Any]]:
    return body_of(generate(messages=list(messages)), ref, **changes)["contents"]


def test_results_come_in_the_order_of_the_calls_with_their_names() -> None:
    sent = contents(ASK, calls("a", "b"), result("b", "2"), result("a", "1"))
    answers = [part["functionResponse"] for part in sent[2]["parts"]]
    assert sent[2]["role"] == "user"
    assert [(one["name"], one["response"]) for one in answers] == [
        ("a", {"output": "1"}),
        ("b", {"output": "2"}),
    ]


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ("fine", {"output": "fine"}),
        ('{"t": 3}', {"t": 3}),
        ("[1, 2]", {"output": [1, 2]}),
        ("12", {"output": "12"}),
        ("", {"output": "(no output)"}),
        ("{}", {"output": "{}"}),
    ],
)
def test_a_result_is_an_object(content: str, response: dict[str, Any]) -> None:
    sent = contents(ASK, calls("a"), result("a", content))
    assert sent[2]["parts"][0]["functionResponse"]["response"] == response


def test_a_failed_result_says_so() -> None:
    sent = contents(ASK, calls("a"), result("a", "no such city", is_error=True))
    assert sent[2]["parts"][0]["functionResponse"]["response"] == {"error": "no such city"}


def test_results_stand_apart_from_the_words_after_them() -> None:
    sent = contents(ASK, calls("a"), result("a"), {"role": "user", "content": "and now?"})
    assert [list(content["parts"][0]) for content in sent[2:]] == [["functionResponse"], ["text"]]
    assert len(sent[2]["parts"]) == 1


def test_call_ids_go_to_the_gemini_api_but_not_to_vertex() -> None:
    here = contents(ASK, calls("a"), result("a"))
    there = contents(ASK, calls("a"), result("a"), base_url=VERTEX)
    assert here[1]["parts"][0]["functionCall"]["id"] == "a"
    assert here[2]["parts"][0]["functionResponse"]["id"] == "a"
    assert "id" not in there[1]["parts"][0]["functionCall"]
    assert "id" not in there[2]["parts"][0]["functionResponse"]


def test_a_call_without_result_gets_one() -> None:
    sent = contents(ASK, calls("a"), {"role": "user", "content": "well?"})
    assert "error" in sent[2]["parts"][0]["functionResponse"]["response"]


def test_text_beside_calls_is_kept() -> None:
    sent = contents(ASK, calls("a", content="Let me see."), result("a"))
    assert sent[1]["parts"][0] == {"text": "Let me see."}


def test_an_opening_assistant_message_gets_a_user_message_before_it() -> None:
    made = built(generate(messages=[{"role": "assistant", "content": "hm"}, ASK]), FLASH)
    assert b'"contents":[{"role":"user"' in made.request.content
    assert any("put a user message first" in warning for warning in made.warnings)


def test_a_late_system_message_is_marked_text() -> None:
    sent = contents(ASK, {"role": "system", "content": "be brief"})
    assert sent[0]["parts"][1] == {"text": "<system>\nbe brief\n</system>"}


def test_empty_contents_are_refused() -> None:
    with pytest.raises(ProviderError) as caught:
        built(generate(messages=[{"role": "user", "content": " "}], system="x"), FLASH)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNSUPPORTED, "messages")


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (PIXEL, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
        (
            {"type": "image", "url": "data:image/jpg;base64,aGk="},
            {"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}},
        ),
        (
            {"type": "image", "url": "https://example.test/a.PNG"},
            {"fileData": {"mimeType": "image/png", "fileUri": "https://example.test/a.PNG"}},
        ),
        (
            {"type": "image", "url": "https://example.test/a"},
            {"fileData": {"fileUri": "https://example.test/a"}},
        ),
        (
            {"type": "document", "data": "aGk="},
            {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
        ),
        (
            {"type": "document", "url": "gs://bucket/a.pdf"},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
        ),
    ],
)
def test_media_go_inline_or_by_address(part: dict[str, Any], sent: dict[str, Any]) -> None:
    assert contents({"role": "user", "content": [part]})[0]["parts"] == [sent]


@pytest.mark.parametrize(
    ("part", "root"),
    [
        ({"type": "image", "data": "aGk=", "media_type": "image/gif"}, None),
        ({"type": "image", "url": "gs://bucket/a"}, None),
        ({"type": "image", "url": "data:image/png,plain"}, None),
        ({"type": "image", "url": "https://example.test/a.png"}, VERTEX),
    ],
)
def test_media_that_cannot_be_read_are_refused(part: dict[str, Any], root: str | None) -> None:
    job = generate(messages=[{"role": "user", "content": [part]}])
    with pytest.raises(ProviderError) as caught:
        built(job, FLASH, **({"base_url": root} if root else {}))
    assert caught.value.kind is ErrorKind.UNSUPPORTED


def test_images_of_results_follow_them_on_models_before_three() -> None:
    shown = result("a", [{"type": "text", "text": "here"}, PIXEL])
    sent = contents(ASK, calls("a"), shown, {"role": "user", "content": "what is it?"})
    assert sent[2]["parts"][0]["functionResponse"]["response"] == {"output": "here"}
    assert sent[3]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


def test_images_of_the_last_results_are_not_lost() -> None:
    sent = contents(ASK, calls("a"), result("a", [PIXEL]))
    assert "inlineData" in sent[3]["parts"][1]


def test_images_of_results_go_inside_from_three_on() -> None:
    sent = contents(ASK, calls("a"), result("a", [PIXEL]), ref=THREE)
    assert "inlineData" in sent[2]["parts"][0]["functionResponse"]["parts"][0]


def replayed(body: dict[str, Any], ref: str = THREE) -> list[dict[str, Any]]:
    """What is sent of an answer when it becomes part of the conversation."""
    answer = parsed(generate(prompt="hi", tools=[WEATHER]), body, ref)
    message = AssistantMessage(
        content=answer.text or "", reasoning=answer.reasoning, tool_calls=answer.tool_calls
    )
    turns = [ASK, message.model_dump()]
    turns += [result(made.id) for made in answer.tool_calls] or [ASK]
    return contents(*turns, ref=ref)[1]["parts"]


def test_parts_of_an_answer_go_back_as_they_came() -> None:
    parts = [
        text("thinking", thought=True),
        text("Let me "),
        text("look.", thoughtSignature="c2ln"),
        function_call(signature="Y2FsbA==", id="x1"),
        function_call(id="x2"),
    ]
    assert replayed(said(*parts)) == parts


def test_a_signature_alone_goes_back_with_the_text_it_ends() -> None:
    sent = replayed(said(text("The answer."), text("", thoughtSignature="c2ln")))
    assert sent == [text("The answer.", thoughtSignature="c2ln")]


def test_a_signature_whose_text_was_changed_is_left_out() -> None:
    reasoning = [{"provider": "google", "signature": "c2ln", "id": "text[0:50]"}]
    message = {"role": "assistant", "content": "shorter", "reasoning": reasoning}
    assert contents(ASK, message, ASK)[1]["parts"] == [{"text": "shorter"}]


def test_calls_of_another_provider_get_the_skip_value_from_three_on() -> None:
    turns = (ASK, calls("a", "b"), result("a"), result("b"))
    signed = [part.get("thoughtSignature") for part in contents(*turns, ref=THREE)[1]["parts"]]
    assert signed == ["skip_thought_signature_validator", None]
    assert all("thoughtSignature" not in part for part in contents(*turns)[1]["parts"])


def test_signatures_and_reasoning_of_another_provider_are_stripped() -> None:
    made = {"id": "a", "name": "a", "arguments": {}, "signature": "s", "signed_by": "anthropic"}
    thoughts = [{"provider": "anthropic", "text": "secret", "signature": "s"}]
    message = {"role": "assistant", "tool_calls": [made], "reasoning": thoughts}
    request = built(generate(messages=[ASK, message, result("a")]), FLASH)
    assert b"secret" not in request.request.content
    assert b"thoughtSignature" not in request.request.content
    assert request.warnings == ("messages: left out reasoning of another provider",)
