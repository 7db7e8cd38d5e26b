"""`penstock workspace configuration`: named configurations of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_client.cli import workspace_shown
from penstock_client.cli.printing import print_json
from penstock_client.cli.running import connected, run

if TYPE_CHECKING:
    from penstock_client.ledger import WorkspaceConfig

_NONE = "none"


def register(group: typer.Typer) -> None:
    """Adds `set`, `list` and `remove` under `penstock workspace configuration`."""
    sub = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: penstock workspace configuration set acme nightly --daily-usd 5",
    )
    sub.command(
        "set",
        epilog="Example: penstock workspace configuration set acme nightly "
        "--primary openai/gpt-4o-mini --monthly-usd 100",
    )(set_configuration)
    sub.command("list", epilog="Example: penstock workspace configuration list acme --json")(
        list_configurations
    )
    sub.command("remove", epilog="Example: penstock workspace configuration remove acme nightly")(
        remove
    )
    group.add_typer(
        sub, name="configuration", help="Named configurations: models, defaults, money budgets."
    )


def set_configuration(  # noqa: PLR0917 - options of a command  # noqa: PLR0917 - options of a command
    workspace: Annotated[str, typer.Argument(help="The workspace.")],
    name: Annotated[str, typer.Argument(help="The configuration; 'default' is always there.")],
    primary: Annotated[
        str | None, typer.Option(metavar="MODEL|none", help="Where no rule routes a job.")
    ] = None,
    fallback: Annotated[
        str | None, typer.Option(metavar="MODEL|none", help="After whatever leads the routes.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE=MODEL", help="The model of a task type; TYPE= takes it out."),
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(metavar="X|none", help="Of jobs that name none.")
    ] = None,
    max_tokens: Annotated[
        str | None, typer.Option(metavar="N|none", help="Of jobs that name none.")
    ] = None,
    daily_usd: Annotated[
        str | None, typer.Option(metavar="X|none", help="What its jobs may cost in a day.")
    ] = None,
    monthly_usd: Annotated[
        str | None, typer.Option(metavar="X|none", help="What its jobs may cost in a month.")
    ] = None,
    allow_unpriced: Annotated[
        bool | None,
        typer.Option(
            "--allow-unpriced/--no-unpriced", help="Models without a known price, under a budget."
        ),
    ] = None,
    own_keys: Annotated[
        bool | None,
        typer.Option("--own-keys/--platform-keys", help="Whose keys its jobs use."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a named configuration, or change one; what is not given stays. In force at once.

    A new one has a temperature of 0.7 and 4,096 max_tokens unless they are given. Jobs name it
    with `configuration=`; those that name none run under the workspace's default one.
    """
    given: dict[str, Any] = {
        "primary": primary,
        "fallback": fallback,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "daily_usd": daily_usd,
        "monthly_usd": monthly_usd,
        "allow_unpriced": allow_unpriced,
        "own_keys": own_keys,
    }
    fields = {
        field: None if value == _NONE else value
        for field, value in given.items()
        if value is not None
    }
    if task:
        fields["task_routing"] = dict(_task(each) for each in task)
    config = run(_set(workspace, name, fields))
    if json:
        print_json(workspace_shown.configuration_as_json(config.configuration(name)))
    else:
        workspace_shown.print_configurations(config)


def list_configurations(
    workspace: Annotated[str, typer.Argument(help="The workspace.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List a workspace's configurations with what they have spent, and of which budgets."""
    config = run(_read(workspace))
    if json:
        named = config.configurations.values()
        print_json([workspace_shown.configuration_as_json(each) for each in named])
    else:
        workspace_shown.print_configurations(config)


def remove(
    workspace: Annotated[str, typer.Argument(help="The workspace.")],
    name: Annotated[str, typer.Argument(help="The configuration.")],
) -> None:
    """Remove a configuration that is not the default one."""
    run(_remove(workspace, name))
    typer.echo(f"workspace {workspace}: configuration {name} is removed")


def _task(text: str) -> tuple[str, str | None]:
    name, equals, model = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is not TYPE=MODEL", param_hint="'--task'")
    return name, model or None


async def _read(workspace: str) -> WorkspaceConfig:
    async with connected() as penstock:
        return await penstock.workspaces.read(workspace)


async def _set(workspace: str, name: str, fields: dict[str, Any]) -> WorkspaceConfig:
    async with connected() as penstock:
        return await penstock.workspaces.set_configuration(workspace, name, **fields)


async def _remove(workspace: str, name: str) -> None:
    async with connected() as penstock:
        await penstock.workspaces.remove_configuration(workspace, name)
