"""The skill `pipeline-hygiene`: steps say what they need of a model, the workspace says which one.

Its steps find deals that have gone quiet (compute, no model), read the notes of each (extract, a
fan-out), judge them (reason) and write to their owner (generate). Against `penstock up`, with what
that prints:

    penstock worker --compute examples.pipeline_hygiene    # in another terminal
    python examples/pipeline_hygiene.py

`examples/pipeline_hygiene.yaml` declares the same for `penstock runs start`. To have OpenAI do the
reasoning, with a key of the workspace's own, nothing here changes:

    penstock keys set demo openai
    penstock workspace route demo reason openai/gpt-4o
"""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from penstock_client import ComputeStep, LLMStep, Penstock, RunResult, Skill, compute

SKILL = "pipeline-hygiene"


class Deal(BaseModel):
    """A deal as a CRM has it."""

    name: str
    value_usd: int
    last_contact: date
    notes: str


class Inputs(BaseModel):
    """What a run of the skill is given."""

    deals: list[Deal]
    today: date
    quiet_days: int = 14


class Agreed(BaseModel):
    """What the notes of a deal say was agreed last."""

    contact: str
    next_step: str


@compute
def quiet_deals(deals: list[Deal], today: date, quiet_days: int) -> list[dict[str, Any]]:
    """The deals that nobody has talked about for longer than `quiet_days`."""
    return [
        {**deal.model_dump(mode="json"), "quiet_days": days}
        for deal in deals
        if (days := (today - deal.last_contact).days) > quiet_days
    ]


@compute
def report(deals: list[dict[str, Any]], read: list[Agreed | None]) -> dict[str, Any]:
    """A line for each deal with what its notes say, and what they are worth together."""
    lines = [
        f"{deal['name']} (${deal['value_usd']:,}), quiet for {deal['quiet_days']} days: "
        + (f"{agreed.contact}: {agreed.next_step}" if agreed else "its notes could not be read")
        for deal, agreed in zip(deals, read, strict=True)
    ]
    worth = sum(Decimal(deal["value_usd"]) for deal in deals)
    return {"facts": "\n".join(lines), "deals": len(deals), "worth_usd": int(worth)}


HYGIENE = Skill(
    name=SKILL,
    description="Find deals that have gone quiet, judge them, and write to their owner.",
    inputs=Inputs,
    steps=(
        ComputeStep(
            name="find",
            function="examples.pipeline_hygiene:quiet_deals",
            arguments={
                "deals": "{inputs.deals}",
                "today": "{inputs.today}",
                "quiet_days": "{inputs.quiet_days}",
            },
        ),
        LLMStep(
            name="read-notes",
            type="extract",
            for_each="{find.output}",
            text="{item.name}: {item.notes}",
            schema=Agreed,
            on_failure="continue",
        ),
        ComputeStep(
            name="report",
            function="examples.pipeline_hygiene:report",
            arguments={"deals": "{find.output}", "read": "{read-notes.output}"},
        ),
        LLMStep(
            name="judge",
            type="reason",
            prompt="Which of these deals is most at risk, and why?\n{report.output.facts}",
        ),
        LLMStep(
            name="write",
            type="generate",
            prompt="Write three sentences to the owner of these deals.\n"
            "{report.output.facts}\n{judge.text}",
        ),
    ),
    output={
        "letter": "{write.text}",
        "deals": "{report.output.deals}",
        "worth_usd": "{report.output.worth_usd}",
    },
)

DEALS = (
    Deal(
        name="Acme renewal",
        value_usd=40_000,
        last_contact=date(2026, 10, 2),
        notes="Maria asked for a new quote. We owe her one.",
    ),
    Deal(
        name="Bolt pilot",
        value_usd=12_000,
        last_contact=date(2026, 10, 20),
        notes="Jonas waits for legal to sign the contract.",
    ),
    Deal(
        name="Crest upgrade",
        value_usd=7_500,
        last_contact=date(2026, 11, 18),
        notes="Demo went well, Lee decides on Friday.",
    ),
)


async def pipeline_hygiene(
    penstock: Penstock, workspace: str, deals: tuple[Deal, ...], *, today: date
) -> RunResult:
    """Run the skill; from its start on it needs this process no more."""
    inputs = Inputs(deals=list(deals), today=today)
    return await penstock.run(HYGIENE, workspace=workspace, inputs=inputs, timeout_s=60)


async def main() -> None:
    """Settings come from PENSTOCK_REDIS_URL and PENSTOCK_DATABASE_URL."""
    async with Penstock.connect() as penstock:
        run = await pipeline_hygiene(penstock, "demo", DEALS, today=date(2026, 11, 21))
        for step in ("read-notes", "judge", "write"):
            for item in await penstock.runs.items(run.run_id, step):
                simulated = " (simulated)" if item.simulated else ""
                print(f"{step}: {item.provider}/{item.model}{simulated}")
        print(run.output["letter"])
        for row in await penstock.usage.summary("demo", by=("skill",), where={"skill": SKILL}):
            used = row.input_tokens + row.output_tokens
            print(f"{row.group['skill']}: {row.calls} calls, {used} tokens, ${row.cost_usd}")


if __name__ == "__main__":
    asyncio.run(main())
