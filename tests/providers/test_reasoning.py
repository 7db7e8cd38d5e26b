"""Reasoning: kept, replayed to the provider that signed it alone, and asked for."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_schemas.errors import ProviderError
from penstock_schemas.messages import AssistantMessage, ReasoningPart, ToolCall
from penstock_schemas.status import ErrorKind
from penstock_worker.providers.tool_wire import OUTPUT_TOOL
from tests.providers.streams import chunk, decoded, sse
from tests.providers.wire_calls import (
    CLAUDE,
    CLAUDE_BY_TOOL,
    body_of,
    built,
    chat,
    claude,
    generate,
    parsed,
    text_block,
)

GPT5 = "openai/gpt-5-mini"
DEEPSEEK = "deepseek/deepseek-v4-flash"
ROUTER = "openrouter/anthropic/claude-haiku-4.5"
ADAPTIVE = "anthropic/claude-sonnet-4-6"
ALWAYS = "anthropic/claude-opus-5-5"
BETWEEN_TOOLS = "anthropic/claude-sonnet-5-5"
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
OTHER = {"name": "other", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

THINKING = {"type": "thinking", "thinking": "hm", "signature": "sig"}
WORDLESS = {"type": "thinking", "thinking": "", "signature": "sig2"}
REDACTED = {"type": "redacted_thinking", "data": "opaque"}
USING = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}

DOCUMENT = {"type": "document", "data": "JVBERi0=", "title": "a.pdf"}
NOTE = {"type": "document", "data": "aGVsbG8=", "media_type": "text/plain", "title": "note"}
LINKED = {"type": "document", "url": "https://example.test/a.pdf"}
IMAGE = {"type": "image", "data": "iVBORw0=", "media_type": "image/png"}


def said(*reasoning: ReasoningPart, calls: bool = False, text: str = "I look.") -> Any:
    made = (ToolCall(id="c", name="weather", arguments={}),) if calls else ()
    return AssistantMessage(content=text, reasoning=reasoning, tool_calls=made)


def messages_after(message: AssistantMessage, ref: str, **fields: Any) -> list[dict[str, Any]]:
    then = {"role": "tool", "tool_call_id": "c", "content": "sunny"}
    last = then if message.tool_calls else {"role": "user", "content": "go on"}
    job = generate(messages=[{"role": "user", "content": "hi"}, message, last], **fields)
    return body_of(job, ref)["messages"]


def warnings_of(ref: str, **fields: Any) -> str:
    return "\n".join(built(generate(**{"prompt": "hi", **fields}), ref).warnings)


class TestAnthropic:
    def test_blocks_are_replayed_word_for_word_and_first(self) -> None:
        job = generate(prompt="x", tools=[TOOL])
        blocks = [THINKING, WORDLESS, REDACTED, text_block("I look."), USING]
        answer = parsed(job, claude(*blocks, stop="tool_use"), CLAUDE)
        message = AssistantMessage(
            content=answer.text or "", reasoning=answer.reasoning, tool_calls=answer.tool_calls
        )
        result = {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"}
        again = generate(messages=[{"role": "user", "content": "x"}, message, result])
        assert body_of(again, CLAUDE)["messages"][1]["content"] == blocks

    @pytest.mark.parametrize(
        "part",
        [
            ReasoningPart(provider="anthropic", text="no signature"),
            ReasoningPart(provider="anthropic", text="an empty one", signature=""),
            ReasoningPart(provider="google", text="foreign", signature="theirs"),
            ReasoningPart(provider="openai", data="foreign"),
        ],
    )
    def test_what_anthropic_did_not_sign_is_left_out_with_a_warning(
        self, part: ReasoningPart
    ) -> None:
        messages = [{"role": "user", "content": "hi"}, said(part), {"role": "user", "content": "?"}]
        assert body_of(generate(messages=messages), CLAUDE)["messages"][1]["content"] == "I look."
        assert "reasoning" in warnings_of(CLAUDE, prompt=None, messages=messages)

    def test_thinking_alone_is_no_message(self) -> None:
        own = ReasoningPart(provider="anthropic", text="hm", signature="sig")
        messages = messages_after(said(own, text=""), CLAUDE)
        assert [message["role"] for message in messages] == ["user"]

    @pytest.mark.parametrize(("effort", "budget"), [("minimal", 1024), ("high", 20_480)])
    def test_effort_is_a_budget_within_max_tokens(self, effort: str, budget: int) -> None:
        body = body_of(generate(prompt="hi", effort=effort), CLAUDE)
        assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
        assert body["max_tokens"] > budget

    def test_a_small_max_tokens_shrinks_the_budget(self) -> None:
        body = body_of(generate(prompt="hi", effort="high", max_tokens=4000), CLAUDE)
        assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (4000, 3000)

    def test_a_max_tokens_without_room_means_no_thinking(self) -> None:
        assert "thinking" not in body_of(
            generate(prompt="hi", effort="low", max_tokens=900), CLAUDE
        )
        assert "effort" in warnings_of(CLAUDE, effort="low", max_tokens=900)

    def test_newer_models_take_an_effort_and_no_budget(self) -> None:
        body = body_of(generate(prompt="hi", effort="medium", schema=SCHEMA), ADAPTIVE)
        assert body["thinking"] == {"type": "adaptive"}
        assert body["output_config"]["effort"] == "medium"
        assert body["output_config"]["format"]["type"] == "json_schema"

    @pytest.mark.parametrize(
        ("ref", "thinking"),
        [
            (CLAUDE, None),
            (ADAPTIVE, {"type": "disabled"}),
            (BETWEEN_TOOLS, {"type": "between_tools"}),
            (ALWAYS, {"type": "adaptive"}),
        ],
    )
    def test_no_effort_turns_thinking_off_where_it_can_be(self, ref: str, thinking: Any) -> None:
        assert body_of(generate(prompt="hi", effort="none"), ref).get("thinking") == thinking
        assert bool(warnings_of(ref, effort="none")) == (ref == ALWAYS)

    @pytest.mark.parametrize("ref", [CLAUDE, ADAPTIVE, BETWEEN_TOOLS, ALWAYS])
    def test_nothing_is_said_of_thinking_unasked(self, ref: str) -> None:
        assert not body_of(generate(prompt="hi"), ref).keys() & {"thinking", "output_config"}

    def test_a_model_that_does_not_reason_gets_no_effort_but_a_warning(self) -> None:
        ref = "anthropic/claude-3-5-haiku-20241022"
        assert "thinking" not in body_of(generate(prompt="hi", effort="high"), ref)
        assert "effort" in warnings_of(ref, effort="high")
        assert not warnings_of(ref, effort="none")

    @pytest.mark.parametrize("choice", ["required", {"name": "weather"}])
    def test_a_forced_tool_becomes_auto_among_the_tools_meant(self, choice: Any) -> None:
        job = generate(prompt="hi", effort="low", tools=[TOOL, OTHER], tool_choice=choice)
        body = body_of(job, CLAUDE)
        assert body["tool_choice"] == {"type": "auto"}
        assert len(body["tools"]) == (2 if choice == "required" else 1)
        assert any("tool_choice" in warning for warning in built(job, CLAUDE).warnings)

    def test_an_answer_through_a_tool_is_asked_for_but_not_forced(self) -> None:
        body = body_of(generate(prompt="hi", effort="low", schema=SCHEMA), CLAUDE_BY_TOOL)
        assert body["tool_choice"] == {"type": "auto"}
        assert OUTPUT_TOOL in body["system"]

    def test_sampling_is_left_out_while_it_thinks(self) -> None:
        fields = {"effort": "low", "temperature": 0.5, "top_p": 0.9}
        body = body_of(generate(prompt="hi", **fields), CLAUDE)
        assert not body.keys() & {"temperature", "top_p"}
        assert warnings_of(CLAUDE, **fields).count("not sent") == 2

    def test_a_prefill_goes_without_thinking(self) -> None:
        messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Once"}]
        body = body_of(generate(messages=messages, effort="low"), CLAUDE)
        assert "thinking" not in body
        assert body["messages"][-1]["content"] == "Once"

    def test_calls_made_without_its_thinking_go_on_without(self) -> None:
        messages = [
            {"role": "user", "content": "hi"},
            said(calls=True),
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        ]
        assert "thinking" not in body_of(generate(messages=messages, effort="low"), CLAUDE)
        assert "thinking" in body_of(generate(messages=messages, effort="low"), ADAPTIVE)

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            (None, {"type": "auto", "disable_parallel_tool_use": True}),
            ("required", {"type": "any", "disable_parallel_tool_use": True}),
            ("none", {"type": "none"}),
        ],
    )
    def test_parallel_calls_are_refused_beside_the_choice(self, choice: Any, sent: Any) -> None:
        job = generate(prompt="hi", tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
        assert body_of(job, CLAUDE)["tool_choice"] == sent

    def test_cache_marks_stand_on_the_system_alone(self) -> None:
        own = ReasoningPart(provider="anthropic", text="hm", signature="sig")
        messages = [{"role": "user", "content": "hi"}, said(own), {"role": "user", "content": "?"}]
        body = body_of(generate(messages=messages, system="s", cache_system=True), CLAUDE)
        assert "cache_control" in str(body["system"])
        assert "cache_control" not in str(body["messages"])


class TestOpenAIChat:
    def test_reasoning_is_replayed_to_its_own_provider(self) -> None:
        own = ReasoningPart(provider="zai", text="hm")
        messages = messages_after(said(own), "zai/glm-4.7")
        assert messages[1]["reasoning_content"] == "hm"

    def test_foreign_reasoning_is_left_out_with_a_warning(self) -> None:
        foreign = ReasoningPart(provider="anthropic", text="hm", signature="sig")
        messages = [
            {"role": "user", "content": "hi"},
            said(foreign),
            {"role": "user", "content": "?"},
        ]
        assert "hm" not in str(body_of(generate(messages=messages), "zai/glm-4.7")["messages"])
        assert "reasoning" in warnings_of("zai/glm-4.7", prompt=None, messages=messages)

    @pytest.mark.parametrize("provider", ["deepseek", "anthropic"])
    def test_deepseek_gets_the_field_on_tool_turns_even_empty(self, provider: str) -> None:
        part = ReasoningPart(provider=provider, text="hm", signature="sig")
        turn = messages_after(said(part, calls=True), DEEPSEEK, tools=[TOOL])[1]
        assert turn["reasoning_content"] == ("hm" if provider == "deepseek" else "")

    def test_deepseek_gets_no_reasoning_of_other_turns(self) -> None:
        own = ReasoningPart(provider="deepseek", text="hm")
        assert "reasoning_content" not in messages_after(said(own), DEEPSEEK)[1]

    def test_details_are_replayed_as_they_came_whole_or_streamed(self) -> None:
        first = {"type": "reasoning.text", "text": "h", "index": 0, "format": "f"}
        more = {"type": "reasoning.text", "text": "m", "index": 0}
        mark = {"type": "reasoning.text", "signature": "sig", "index": 0}
        hidden = {"type": "reasoning.encrypted", "data": "opaque", "index": 1}
        detail = {**first, "text": "hm", "signature": "sig"}
        pieces = [chunk({"reasoning_details": [row]}) for row in (first, more, mark, hidden)]
        job = generate(prompt="hi")
        body = sse(*pieces, chunk({"content": "I look."}, finish="stop"))
        streamed = decoded(job, [body], ROUTER)[0]
        whole = parsed(job, chat("I look.", reasoning_details=[detail, hidden]), ROUTER)
        assert streamed.reasoning == whole.reasoning
        assert streamed.reasoning[0].text == "hm"
        turn = messages_after(said(*whole.reasoning), ROUTER)[1]
        assert turn["reasoning_details"] == [detail, hidden]

    @pytest.mark.parametrize(
        "content",
        [
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
            [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}],
        ],
    )
    def test_reasoning_inside_the_content_is_kept_apart(self, content: list[Any]) -> None:
        answer = parsed(generate(prompt="hi"), chat([*content, {"type": "text", "text": "4"}]))
        assert (answer.text, [part.text for part in answer.reasoning]) == ("4", ["hm"])

    def test_a_calls_own_mark_goes_back_to_who_made_it_alone(self) -> None:
        ref, other = "vllm/gemini-3", "openrouter/some-model"
        row = {
            "id": "c",
            "function": {"name": "weather", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "sig"}},
        }
        made = parsed(generate(prompt="x", tools=[TOOL]), chat(None, tool_calls=[row]), ref)
        message = AssistantMessage(tool_calls=made.tool_calls)
        assert "sig" in str(messages_after(message, ref, tools=[TOOL])[1])
        assert "sig" not in str(messages_after(message, other, tools=[TOOL])[1])

    @pytest.mark.parametrize(
        ("ref", "effort", "sent"),
        [
            (GPT5, "minimal", {"reasoning_effort": "minimal"}),
            (GPT5, "none", {"reasoning_effort": "minimal"}),
            ("xai/grok-3-mini", "minimal", {"reasoning_effort": "low"}),
            (DEEPSEEK, "none", {"thinking": {"type": "disabled"}}),
            ("zai/glm-5.2", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
            ("moonshot/kimi-k3", "low", {"thinking": {"type": "enabled"}}),
        ],
    )
    def test_effort_is_in_the_providers_words(self, ref: str, effort: Any, sent: Any) -> None:
        body = body_of(generate(prompt="hi", effort=effort), ref)
        assert {name: body.get(name) for name in sent} == sent

    def test_a_model_that_does_not_reason_gets_a_warning(self) -> None:
        assert "effort" in warnings_of("openai/gpt-4o-mini", effort="high")
        assert not warnings_of("openai/gpt-4o-mini", effort="none")

    @pytest.mark.parametrize("parallel", [True, False])
    def test_parallel_calls_go_beside_tools(self, parallel: bool) -> None:
        body = body_of(generate(prompt="hi", tools=[TOOL], parallel_tool_calls=parallel))
        assert body["parallel_tool_calls"] is parallel
        assert "parallel_tool_calls" not in body_of(
            generate(prompt="x", parallel_tool_calls=parallel)
        )


class TestParts:
    @staticmethod
    def sent_as(part: Any, ref: str) -> Any:
        messages = [{"role": "user", "content": [{"type": "text", "text": "read"}, part]}]
        return body_of(generate(messages=messages), ref)["messages"][0]["content"][1]

    def test_documents_are_blocks_on_anthropic(self) -> None:
        source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
        sent = {"type": "document", "source": source, "title": "a.pdf"}
        assert self.sent_as(DOCUMENT, CLAUDE) == sent
        assert self.sent_as(LINKED, CLAUDE)["source"]["type"] == "url"
        assert self.sent_as(NOTE, CLAUDE)["source"]["data"] == "hello"

    def test_documents_are_files_on_openai(self) -> None:
        data = "data:application/pdf;base64,JVBERi0="
        sent = {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
        assert self.sent_as(DOCUMENT, "openai/gpt-4o-mini") == sent

    def test_plain_text_is_written_out_where_there_are_no_documents(self) -> None:
        sent = self.sent_as(NOTE, "groq/some-model")
        assert sent == {"type": "text", "text": '<document title="note">\nhello\n</document>'}

    @pytest.mark.parametrize(
        ("part", "ref"), [(DOCUMENT, "groq/some-model"), (LINKED, "openai/gpt-4o-mini")]
    )
    def test_documents_without_a_place_are_refused(self, part: Any, ref: str) -> None:
        with pytest.raises(ProviderError) as caught:
            self.sent_as(part, ref)
        assert caught.value.kind is ErrorKind.UNSUPPORTED

    def test_images_of_a_tool_stand_in_its_result_on_anthropic(self) -> None:
        result = self.result_messages(CLAUDE)[2]["content"][0]
        assert [block["type"] for block in result["content"]] == ["text", "image"]

    def test_images_of_a_tool_follow_its_result_on_openai(self) -> None:
        messages = self.result_messages("openai/gpt-4o-mini")
        assert [message["role"] for message in messages][2:] == ["tool", "user"]
        assert messages[2]["content"].startswith("a chart\n(")
        assert messages[3]["content"][0]["type"] == "image_url"

    def result_messages(self, ref: str) -> list[dict[str, Any]]:
        shown = [{"type": "text", "text": "a chart"}, IMAGE]
        then = {"role": "tool", "tool_call_id": "c", "content": shown}
        messages = [{"role": "user", "content": "hi"}, said(calls=True), then]
        return body_of(generate(messages=messages, tools=[TOOL]), ref)["messages"]
