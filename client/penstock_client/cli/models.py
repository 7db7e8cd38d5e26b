"""`penstock models`: what the catalogue knows of models, and which of them a job would go to."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli.printing import print_json, print_table, shown_cost
from penstock_client.cli.running import connected, load_settings, run
from penstock_client.cli.submit import JobType, StrategyName, type_of

if TYPE_CHECKING:
    from decimal import Decimal

    from penstock_client.routing import AnyJob, Candidate, Explanation
    from penstock_schemas.catalog import Catalog, Model


def register(app: typer.Typer) -> None:
    """Adds `penstock models list` and `penstock models route`."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock models list --provider mistral",
    )
    group.command("list", epilog="Example: penstock models list --provider mistral")(list_models)
    group.command(
        "route",
        epilog="Example: penstock models route --workspace acme --capability reason "
        "--strategy cost --tokens 20000",
    )(route)
    app.add_typer(group, name="models", help="List models; explain where a job would go.")


def list_models(
    provider: Annotated[str | None, typer.Option(help="Those of this provider only.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models of the catalogue in force, with prices in dollars per million tokens.

    Without a database it is the packaged catalogue under the configuration file.
    """
    known = run(_catalog())
    found = known.models if provider is None else known.models_of(known.provider(provider).name)
    today = datetime.now(UTC).date()
    if json:
        print_json([_model_as_json(model, today) for model in found])
        return
    header = ("MODEL", "WINDOW", "IN $/M", "OUT $/M", "SPEED", "QUALITY", "CAN", "STATE")
    print_table(header, [_model_as_row(model, today) for model in found])


def route(  # noqa: PLR0917 - options of a command
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Whose job it would be.")],
    capability: Annotated[
        str,
        typer.Option(
            "--capability", "-c", help="classify, extract, generate, reason, embed, or a name."
        ),
    ],
    type_: Annotated[
        JobType | None,
        typer.Option("--type", help="The type of job, for a capability with a name of its own."),
    ] = None,
    strategy: Annotated[
        StrategyName | None, typer.Option(help="What matters most; without it the routing rules.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PROVIDER/MODEL", help="As if this model were pinned.")
    ] = None,
    configuration: Annotated[
        str | None, typer.Option(help="The workspace's configuration; default: its default one.")
    ] = None,
    task_type: Annotated[
        str | None, typer.Option(help="The job's task type, which a configuration may route.")
    ] = None,
    text: Annotated[str, typer.Option(help="The text to work on.")] = "…",
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Input tokens, instead of counting those of --text.")
    ] = None,
    tools: Annotated[bool, typer.Option("--tools", help="The job has tools.")] = False,
    image: Annotated[bool, typer.Option("--image", help="The job has an image.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which models a job would go to, in order, and why; nothing is submitted.

    Exits with 1 if no model can do the job.
    """
    kind = type_ or type_of(capability)
    job = _job_of(kind, text=text, tools=tools, image=image)
    asked = {
        "workspace": workspace,
        "capability": capability,
        "model": model,
        "strategy": strategy.value if strategy else None,
        "configuration": configuration,
        "task_type": task_type,
    }
    explained = run(_explain(kind, {**job, **asked}, tokens))
    if json:
        print_json(_as_json(explained))
    else:
        _print(explained)
    if not explained.routes:
        raise typer.Exit(1)


def _job_of(kind: JobType, *, text: str, tools: bool, image: bool) -> dict[str, Any]:
    """The fields of a job that needs just what was said."""
    if kind is JobType.EMBED:
        if tools or image:
            raise typer.BadParameter("an embed job has neither tools nor images")
        return {"input": text}
    fields: dict[str, Any] = {"prompt": text}
    if image:
        parts = [{"type": "text", "text": text}, {"type": "image", "url": "https://example.com/"}]
        fields = {"messages": [{"role": "user", "content": parts}]}
    if tools:
        fields["tools"] = [{"name": "tool"}]
    if kind is JobType.CLASSIFY:
        fields["labels"] = ["yes", "no"]
    if kind is JobType.EXTRACT:
        fields["schema"] = {"type": "object"}
    return fields


async def _catalog() -> Catalog:
    from penstock_client.catalogue import load_catalog, offline_catalog
    from penstock_schemas.errors import Unavailable

    settings = load_settings()
    if settings.database_url:
        try:
            return await load_catalog(settings)
        except Unavailable as error:
            typer.echo(f"warning: without the database's changes: {error}", err=True)
    return offline_catalog(settings)


async def _explain(kind: JobType, fields: dict[str, Any], tokens: int | None) -> Explanation:
    from penstock_client.completing import with_defaults
    from penstock_client.routing import explain_route
    from penstock_schemas.jobs import JOB_TYPES, build_job

    job: AnyJob = build_job(JOB_TYPES[kind.value], fields)
    async with connected() as penstock:
        config = await penstock.workspaces.get(job.workspace)
        alive = await penstock.alive_providers()
        job = with_defaults(job, penstock.catalog.defaults)
        return explain_route(job, config, penstock.catalog, alive=alive, input_tokens=tokens)


def _print(explained: Explanation) -> None:
    needs = explained.needs
    typer.echo(
        f"about {needs.input_tokens:,} tokens in, at most {needs.output_tokens:,} out; "
        + (f"strategy {explained.strategy}" if explained.strategy else "by the rules of routing")
    )
    rows = [_candidate_as_row(candidate, explained.routes) for candidate in explained.candidates]
    print_table(("ROUTE", "MODEL", "COST AT MOST", "SCORE", "WHY"), rows)


def _candidate_as_row(candidate: Candidate, routes: tuple[str, ...]) -> tuple[str, ...]:
    return (
        str(routes.index(candidate.ref) + 1) if candidate.taken else "-",
        candidate.ref,
        shown_cost(candidate.cost_usd),
        "-" if candidate.score is None else f"{candidate.score:.3f}",
        candidate.why,
    )


def _as_json(explained: Explanation) -> dict[str, object]:
    return {
        "routes": list(explained.routes),
        "strategy": explained.strategy,
        "input_tokens": explained.needs.input_tokens,
        "output_tokens": explained.needs.output_tokens,
        "candidates": [
            {
                "model": candidate.ref,
                "source": candidate.source,
                "taken": candidate.taken,
                "why": candidate.why,
                "cost_usd": _decimal(candidate.cost_usd),
                "score": candidate.score,
            }
            for candidate in explained.candidates
        ],
    }


def _model_as_row(model: Model, today: date) -> tuple[str, ...]:
    return (
        model.ref,
        "-" if model.context_window is None else f"{model.context_window:,}",
        _decimal(model.input_usd_per_mtok) or "unknown",
        _decimal(model.output_usd_per_mtok) or "unknown",
        model.speed_tier,
        model.quality_tier,
        " ".join(sorted(model.capabilities)) or model.kind,
        _state(model, today),
    )


def _state(model: Model, today: date) -> str:
    if model.is_active(today):
        return "active"
    return "switched off" if model.active is False else f"retired {model.retires_on}"


def _model_as_json(model: Model, today: date) -> dict[str, object]:
    return {
        "model": model.ref,
        **model.model_dump(mode="json", exclude={"known", "active", "capabilities"}),
        "capabilities": sorted(model.capabilities),
        "is_active": model.is_active(today),
    }


def _decimal(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
