"""The skill `pipeline-hygiene`: steps say what they need of a model, the workspace says which one.

Its steps find deals that have gone quiet (compute, no model), read their notes (extract), judge
them (reason) and write to their owner (generate). Run it against `penstock up` and what it prints.
To have OpenAI do the reasoning, with a key of the workspace's own, nothing here changes:

    penstock keys set demo openai
    penstock workspace route demo reason openai/gpt-4o
"""

import asyncio
from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel

from penstock_client import Extract, Generate, Penstock, Reason, Result

SKILL = "pipeline-hygiene"
QUIET_DAYS = 14


@dataclass(frozen=True)
class Deal:
    """A deal as a CRM has it."""

    name: str
    value_usd: int
    last_contact: date
    notes: str


class Agreed(BaseModel):
    """What the notes of a deal say was agreed last."""

    contact: str
    next_step: str


DEALS = (
    Deal("Acme renewal", 40_000, date(2026, 10, 2), "Maria asked for a new quote. We owe her one."),
    Deal("Bolt pilot", 12_000, date(2026, 10, 20), "Jonas waits for legal to sign the contract."),
    Deal("Crest upgrade", 7_500, date(2026, 11, 18), "Demo went well, Lee decides on Friday."),
)


async def pipeline_hygiene(
    penstock: Penstock, workspace: str, deals: tuple[Deal, ...], *, today: date
) -> dict[str, Result]:
    """Run the skill; gives the results of its steps that asked a model, by their names."""
    tags = {"workspace": workspace, "skill": SKILL}
    quiet = [deal for deal in deals if (today - deal.last_contact).days > QUIET_DAYS]  # compute
    notes = "\n".join(f"{deal.name}: {deal.notes}" for deal in quiet)

    schema = {
        "type": "object",
        "properties": {deal.name: Agreed.model_json_schema() for deal in quiet},
        "required": [deal.name for deal in quiet],
    }
    extract = Extract(**tags, step="read-notes", text=notes, schema=schema)
    read = await penstock.call(extract, timeout_s=60)

    facts = "\n".join(
        f"{deal.name} (${deal.value_usd:,}), quiet since {deal.last_contact}: "
        f"{read.output[deal.name]}"
        for deal in quiet
    )
    question = f"Which of these deals is most at risk, and why?\n{facts}"
    judged = await penstock.call(Reason(**tags, step="judge", prompt=question), timeout_s=60)

    prompt = f"Write three sentences to the owner of these deals.\n{facts}\n{judged.text}"
    written = await penstock.call(Generate(**tags, step="write", prompt=prompt), timeout_s=60)
    return {"read-notes": read, "judge": judged, "write": written}


async def main() -> None:
    """Settings come from PENSTOCK_REDIS_URL and PENSTOCK_DATABASE_URL."""
    async with Penstock.connect() as penstock:
        results = await pipeline_hygiene(penstock, "demo", DEALS, today=date(2026, 11, 21))
        for step, result in results.items():
            simulated = " (simulated)" if result.simulated else ""
            print(f"{step}: {result.provider}/{result.model}{simulated}")
        print(results["write"].text)
        for row in await penstock.usage.summary("demo", by=("skill",), where={"skill": SKILL}):
            used = row.input_tokens + row.output_tokens
            print(f"{row.group['skill']}: {row.calls} calls, {used} tokens, ${row.cost_usd}")


if __name__ == "__main__":
    asyncio.run(main())
