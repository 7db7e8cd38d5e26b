"""Declarations: what is read of them, and what is said of one that does not hold together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from penstock_client import ComputeStep, InvalidJob, LLMStep, Skill, compute
from penstock_client.pipelines.beginning import job_for, opening
from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.steps import Condition
from penstock_client.pipelines.templates import Scope
from penstock_schemas.jobs import Classify, Embed, Generate
from tests.pipelines import functions


def ask(name: str, prompt: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "generate", "prompt": prompt, **fields}


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            [ask("a", "{b.text}"), ask("b", "{a.text}")],
            "a needs b needs a, which is a cycle",
        ),
        ([ask("a", "x", after="b"), ask("b", "{a.text}")], "a needs b needs a, which is a cycle"),
        ([ask("a", "{a.text}")], "a needs a, which is a cycle"),
        (
            [ask("a", "{nothing.text}")],
            "step a: prompt: {nothing.text}: there is no step",
        ),
        ([ask("a", "x", after="z")], "step a: after: there is no step 'z'; there are inputs, a"),
        ([ask("a", "x"), ask("a", "y")], "step a: name: two steps have this name"),
        ([ask("inputs", "x")], "step inputs: name: is a name that templates use"),
        ([ask("a", "{item}")], "step a: prompt: {item} is only there in a step with for_each"),
        (
            [ask("a", "{item}", for_each="{inputs.of[index]}")],
            "step a: for_each: {inputs.of[index]} is only there",
        ),
        ([ask("a", "x", for_each="all {inputs.of}")], "step a: for_each: must be one placeholder"),
        (
            [ask("a", "x"), ask("b", "{a}")],
            "step b: prompt: {a} is no value of that step",
        ),
        ([ask("a", "x"), ask("b", "{a.txt}")], "{a.txt} is no value of that step"),
        (
            [{"name": "c", "function": "m:f"}, ask("b", "{c.text}")],
            "{c.text} is no value of that step, which has {c.output}, {c.error}, {c.status}",
        ),
        ([ask("a", "x", when={"value": "5", "above": 3})], "step a: when: value must be one"),
        ([ask("a", "line\n{ oops")], "step a: prompt: line 2: '{' is not a placeholder"),
        ([ask("a", "x", max_tokens=0)], "step a: max_tokens: Input should be greater"),
        ([ask("a", "x", labels=["b"])], "step a: labels: is not a field of this job"),
        ([{"name": "a", "type": "extract", "text": "x"}], "step a: schema: must be"),
        ([{"name": "a", "type": "generate"}], "step a: needs prompt or messages"),
        ([ask("a", "x", colour="red")], "step a: colour: is not a field of this"),
        ([{"name": "a", "type": "generat", "prompt": "x"}], "step a: type: Input should be"),
        ([{"name": "a", "function": "os.system"}], "step a: function: String should match"),
        ([{"name": "a", "function": "m:f", "timeout_s": 0}], "step a: timeout_s: Input should be"),
        ([3], "step 1: must be an object"),
        ([], "steps: must not be empty"),
    ],
)
def test_wrong_declaration_is_refused_by_step_and_field(steps: list[Any], told: str) -> None:
    with pytest.raises(InvalidJob) as raised:
        Skill.parse({"name": "s", "steps": steps})
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"output": "{b.text}"}, "output: {b.text}: there is no step 'b'"),
        ({"output": {"x": ["{a.text}", "{item}"]}}, "output: {item} is only there"),
        ({"inputs": {"type": "objekt"}}, "inputs: is no JSON Schema"),
        ({"name": "a b"}, "name: String should match"),
    ],
)
def test_wrong_frame_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidJob) as raised:
        Skill.parse({"name": "s", "steps": [ask("a", "x")], **fields})
    assert told in str(raised.value)


def test_order_follows_from_templates_and_after() -> None:
    skill = Skill.parse(
        {
            "name": "s",
            "steps": [
                ask("last", "{first.text}", after=["second"]),
                ask("second", "x", for_each="{first.output}"),
                ask("first", "x"),
            ],
        }
    )
    assert [each.before for each in skill.plan.steps] == [(1, 2), (2,), ()]
    assert [each.reads for each in skill.plan.steps] == [(2,), (2,), ()]
    assert skill.plan.output_reads == (0,)


def test_definition_is_read_as_the_same_skill() -> None:
    class Answer(BaseModel):
        label: str

    step = LLMStep(name="a", type="extract", text="{inputs.x}", schema=Answer, max_tokens=5)
    skill = Skill(name="s", steps=(step, ComputeStep(name="c", function=functions.double)))
    assert Skill.parse(skill.definition()).digest == skill.digest


def test_yaml_and_json_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "skill.yaml"
    file.write_text("name: s\nsteps:\n  - {name: a, type: generate, prompt: x}\n")
    assert Skill.load(file).steps[0].name == "a"
    file.write_text('{"name": "s", "steps": [{"name": "b", "type": "generate", "prompt": "x"}]}')
    assert Skill.load(file).steps[0].name == "b"
    file.write_text("name: [")
    with pytest.raises(InvalidJob, match="is neither YAML nor JSON"):
        Skill.load(file)
    with pytest.raises(InvalidJob, match="cannot be read"):
        Skill.load(tmp_path / "none.yaml")


def test_marked_function_is_named_by_its_module() -> None:
    step = ComputeStep(name="c", function=functions.double)
    assert step.function == "tests.pipelines.functions:double"


def test_function_that_no_worker_could_find_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidJob, match="marked with @compute"):
        ComputeStep(name="c", function=functions.unmarked)

    @compute
    def inside() -> None: ...

    with pytest.raises(InvalidJob, match="must be a function of a module"):
        ComputeStep(name="c", function=inside)
    monkeypatch.setattr(functions.double, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    with pytest.raises(InvalidJob, match="stands in a script, where no worker finds it"):
        ComputeStep(name="c", function=functions.double)


def job(step: dict[str, Any], *, options: RunOptions | None = None, **inputs: Any) -> Any:
    made = LLMStep.model_validate({"name": "a", **step})
    return job_for(
        made, Scope(inputs=inputs), options=options or RunOptions(), identity={"workspace": "w"}
    )


def test_one_placeholder_may_stand_for_a_list_of_labels_or_inputs() -> None:
    found = job(
        {"type": "classify", "text": "{inputs.t}", "labels": "{inputs.labels}"},
        t=5, labels=["x", "y"],
    )  # fmt: skip
    assert isinstance(found, Classify)
    assert (found.text, found.labels) == ("5", ("x", "y"))
    embed = job({"type": "embed", "input": ["{inputs.of}"]}, of=["p", "q"])
    assert isinstance(embed, Embed)
    assert embed.input == ("p", "q")


def test_messages_and_metadata_are_templates_too() -> None:
    found = job(
        {
            "type": "generate",
            "messages": [{"role": "user", "content": "{inputs.of}"}],
            "metadata": {"deal": "{inputs.of.id}"},
        },
        of={"id": 7},
    )
    assert isinstance(found, Generate)
    assert found.messages is not None
    assert found.messages[0].content == '{"id":7}'
    assert found.metadata == {"deal": "7"}


def test_step_goes_before_the_options_of_the_run() -> None:
    options = RunOptions(agent="run", session_key="s", metadata={"a": "1", "b": "1"})
    step = {"type": "generate", "prompt": "x", "agent": "step", "metadata": {"b": "2"}}
    found = job(step, options=options)
    assert (found.agent, found.session_key, found.metadata) == ("step", "s", {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("test", "found", "holds"),
    [
        ({"equals": "x"}, "x", True),
        ({"equals": None}, None, True),
        ({"not_equals": 1}, 1, False),
        ({"is_in": ["a", 1]}, 1, True),
        ({"above": 1, "below": 3}, 2, True),
        ({"above": 1, "below": 3}, 3, False),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
    ],
)
def test_condition_holds(test: dict[str, Any], found: Any, holds: bool) -> None:
    assert Condition(value="{inputs.x}", **test).holds(found) is holds


def test_condition_on_a_path_that_leads_nowhere_is_null() -> None:
    step = LLMStep.model_validate(ask("a", "x", when={"value": "{inputs.a.b}", "exists": True}))
    assert (
        opening(step, Scope(inputs={})).skipped == "when: {inputs.a.b} is not there (exists: True)"
    )


@pytest.mark.parametrize("found", ["many", None, True])
def test_condition_refuses_to_order_what_is_no_number(found: Any) -> None:
    with pytest.raises(InvalidJob, match="not a number"):
        Condition(value="{inputs.x}", above=1).holds(found)


@pytest.mark.parametrize(("of", "told"), [("x", "a string"), ({}, "an object"), (None, "null")])
def test_fan_out_needs_a_list(of: Any, told: str) -> None:
    step = LLMStep.model_validate(ask("a", "{item}", for_each="{inputs.of}"))
    with pytest.raises(InvalidJob, match=f"leads to {told}, not to a list"):
        opening(step, Scope(inputs={"of": of}))
