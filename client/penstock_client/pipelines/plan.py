"""Pure: a declared skill -> the plan of its runs, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from penstock_client.pipelines.steps import ComputeStep, LLMStep, Step
from penstock_client.pipelines.templates import (
    INDEX,
    INPUTS,
    ITEM,
    RESERVED,
    Reference,
    Scope,
    Template,
    rendered,
    templates_in,
)
from penstock_schemas.errors import InvalidJob

#: What a template can ask of a step.
FIELDS: Final = {
    "llm": ("output", "text", "vectors", "tool_calls", "error", "status"),
    "compute": ("output", "error", "status"),
}
_SAMPLE: Final = "x"


@dataclass(frozen=True, slots=True)
class Planned:
    """A step with its place: `before` are the positions of those that it comes after.

    `reads` are the positions of those whose values its templates need.
    """

    step: Step
    position: int
    before: tuple[int, ...]
    reads: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a skill, and those whose values its output needs."""

    steps: tuple[Planned, ...]
    output: Any
    output_reads: tuple[int, ...]

    def outcome(self, scope: Scope) -> Any:
        """The output of a run, from the values of those that it reads. Raises InvalidJob."""
        if self.output is not None:
            return rendered(self.output, scope)
        last = [self.steps[at].step.name for at in self.output_reads]
        outputs = {name: scope.steps[name]["output"] for name in last}
        return outputs[last[0]] if len(last) == 1 else outputs


def plan_of(steps: Sequence[Step], output: Any) -> Plan:
    """The plan of these steps.

    Raises InvalidJob that names the step and the field: for two steps of a name, a template or an
    `after` that names no step, a cycle, `item` outside of a fan-out, or fields that make no job.
    """
    places = _places(steps)
    planned: list[Planned] = []
    for at, step in enumerate(steps):
        reads = sorted({places[name] for name in _checked_roots(step, steps, places)})
        for name in step.after:
            if name not in places:
                raise _wrong(step, "after", f"there is no step {name!r}{_known(places)}")
        before = sorted({*reads, *(places[name] for name in step.after)})
        planned.append(Planned(step, at, tuple(before), tuple(reads)))
        _check_job(step)
    _refuse_cycle(planned)
    return Plan(tuple(planned), output, _output_reads(planned, output, places))


def _places(steps: Sequence[Step]) -> dict[str, int]:
    places: dict[str, int] = {}
    for at, step in enumerate(steps):
        if step.name in RESERVED:
            raise _wrong(step, "name", "is a name that templates use for something else")
        if step.name in places:
            raise _wrong(step, "name", "two steps have this name")
        places[step.name] = at
    return places


def fields_of(step: Step) -> Iterator[tuple[str, Any]]:
    """The fields of a step that hold templates, `for_each` and `when` first."""
    if step.for_each is not None:
        yield "for_each", step.for_each
    for condition in step.when:
        yield "when", condition.value
    for name in step.templated:
        value = getattr(step, name)
        if value is not None:
            yield name, value


def _checked_roots(step: Step, steps: Sequence[Step], places: Mapping[str, int]) -> Iterator[str]:
    """The names of the steps whose values a step needs."""
    if step.for_each is not None and Template.parse(step.for_each, origin="").whole is None:
        raise _wrong(step, "for_each", "must be one placeholder that leads to a list")
    for field, value in fields_of(step):
        for template in templates_in(value, origin=f"step {step.name}: {field}"):
            if field == "when" and template.whole is None:
                raise _wrong(step, "when", "value must be one placeholder")
            inside = field not in {"for_each", "when"} and step.for_each is not None
            for reference in template.references:
                told = _why_not(reference, steps, places, fan_out=inside)
                if told is not None:
                    raise _wrong(step, field, told)
                if reference.root in places:
                    yield reference.root


def _why_not(
    reference: Reference, steps: Sequence[Step], places: Mapping[str, int], *, fan_out: bool
) -> str | None:
    """Why a reference leads nowhere, None when it may lead somewhere."""
    shown = f"{{{reference.text}}}"
    if {ITEM, INDEX} & reference.roots and not fan_out:
        return f"{shown} is only there in a step with for_each, and not in its for_each or when"
    if reference.root in RESERVED:
        return None
    if reference.root not in places:
        return f"{shown}: there is no step {reference.root!r}{_known(places)}"
    known = FIELDS[_kind(steps[places[reference.root]])]
    if not reference.path or reference.path[0] not in known:
        listed = ", ".join(f"{{{reference.root}.{name}}}" for name in known)
        return f"{shown} is no value of that step, which has {listed}"
    return None


def _known(places: Mapping[str, int]) -> str:
    return f"; there are {', '.join((INPUTS, *places))}"


def _kind(step: Step) -> str:
    return "compute" if isinstance(step, ComputeStep) else "llm"


def _check_job(step: Step) -> None:
    """Try the job with samples in place of what its templates will give. Raises InvalidJob."""
    if isinstance(step, ComputeStep):
        return
    fields = {
        name: _sampled(value, step)
        for name in step.templated
        if (value := getattr(step, name)) is not None
    }
    if step.model is not None and Template.parse(step.model, origin="").references:
        fields["model"] = f"{_SAMPLE}/{_SAMPLE}"
    try:
        step.job(fields, workspace="workspace")
    except InvalidJob as error:
        raise InvalidJob(f"step {step.name}: {error}", field=error.field) from None


def _sampled(value: Any, step: LLMStep) -> Any:
    if isinstance(value, str):
        template = Template.parse(value, origin=f"step {step.name}")
        return value if not template.references else _SAMPLE
    if isinstance(value, dict):
        return {name: _sampled(each, step) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, tuple):
        return [_sampled(each, step) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _refuse_cycle(planned: Sequence[Planned]) -> None:
    done: set[int] = set()
    while len(done) < len(planned):
        ready = {each.position for each in planned if done.issuperset(each.before)} - done
        if not ready:
            break
        done |= ready
    left = [each for each in planned if each.position not in done]
    if not left:
        return
    at, seen = left[0], list[Planned]()
    while at not in seen:
        seen.append(at)
        at = next(planned[each] for each in at.before if each not in done)
    names = [each.step.name for each in (*seen[seen.index(at) :], at)]
    told = " needs ".join(names)
    raise InvalidJob(f"steps: {told}, which is a cycle", field="steps")


def _output_reads(
    planned: Sequence[Planned], output: Any, places: Mapping[str, int]
) -> tuple[int, ...]:
    if output is None:
        needed = {at for each in planned for at in each.before}
        return tuple(each.position for each in planned if each.position not in needed)
    steps = [each.step for each in planned]
    reads: set[int] = set()
    for template in templates_in(output, origin="output"):
        for reference in template.references:
            told = _why_not(reference, steps, places, fan_out=False)
            if told is not None:
                raise InvalidJob(f"output: {told}", field="output")
            if reference.root in places:
                reads.add(places[reference.root])
    return tuple(sorted(reads))


def _wrong(step: Step, field: str, told: str) -> InvalidJob:
    return InvalidJob(f"step {step.name}: {field}: {told}", field=field)
