"""Pure: what was filled in of budgets and configurations -> the fields that services take.

Fields that were not sent stay as they are; an empty number is no bound. What cannot be accepted is
told by the services, which name the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from penstock_client.ledger import Configuration
from penstock_client.usage_rows import MonthUsage
from penstock_schemas.errors import InvalidJob

_NUMBERS: Final = frozenset(
    {"monthly_tokens", "retention_days", "weight", "temperature", "max_tokens"}
    | {"daily_usd", "monthly_usd"}
)
_WORKSPACE: Final = (
    "monthly_tokens",
    "budget_mode",
    "on_budget",
    "time_zone",
    "weight",
    "retention_days",
)
_CONFIGURATION: Final = (
    "primary",
    "fallback",
    "temperature",
    "max_tokens",
    "daily_usd",
    "monthly_usd",
)
_SWITCHES: Final = ("own_keys", "allow_unpriced")

Form = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetShown:
    """A budget, with what is spent and held of it; `most` None is without bounds."""

    name: str
    spent: Decimal
    held: Decimal
    most: Decimal | None

    @property
    def spent_share(self) -> float:
        """The part that is spent, in per cent."""
        return self._share(self.spent)

    @property
    def held_share(self) -> float:
        """The part that is held, in per cent, as far as there is room for it."""
        return min(self._share(self.held), 100 - self.spent_share)

    @property
    def left(self) -> Decimal | None:
        """What may still be spent."""
        return None if self.most is None else max(Decimal(0), self.most - self.spent - self.held)

    def _share(self, amount: Decimal) -> float:
        if not self.most:
            return 0.0 if self.most is None or not amount else 100.0
        return round(min(100.0, float(100 * amount / self.most)), 2)


def token_budget(month: MonthUsage) -> BudgetShown:
    """The tokens of a workspace's month."""
    most = month.token_budget
    return BudgetShown(
        name="Tokens this month",
        spent=Decimal(month.tokens_used),
        held=Decimal(month.tokens_held),
        most=None if most is None else Decimal(most),
    )


def money_budgets(month: MonthUsage) -> tuple[tuple[str, tuple[BudgetShown, ...]], ...]:
    """The budgets in money of each configuration that has one."""
    found: list[tuple[str, tuple[BudgetShown, ...]]] = []
    for each in month.money:
        spans = (
            ("Today", each.used_today_usd, each.daily_usd),
            ("This month", each.used_this_month_usd, each.monthly_usd),
        )
        shown = tuple(
            BudgetShown(name=name, spent=spent, held=each.held_usd, most=most)
            for name, spent, most in spans
            if most is not None
        )
        found.append((each.configuration, shown))
    return tuple(found)


def workspace_fields(form: Form) -> dict[str, Any]:
    """What to change of a workspace."""
    return {name: _value(form, name) for name in _WORKSPACE if name in form}


def configuration_fields(form: Form, before: Configuration | None) -> dict[str, Any]:
    """What to change of a configuration, or to make it with. Raises InvalidJob."""
    fields: dict[str, Any] = {name: _value(form, name) for name in _CONFIGURATION if name in form}
    fields |= {name: name in form for name in _SWITCHES}
    if "task_routing" in form:
        given = _tasks(form["task_routing"][-1])
        gone = (before.task_routing.keys() if before else set[str]()) - given.keys()
        fields["task_routing"] = {**given, **dict.fromkeys(gone)}
    return fields


def _value(form: Form, name: str) -> str | None:
    text = form[name][-1].strip()
    if name in _NUMBERS:
        text = text.replace(",", "").replace("\u202f", "").removeprefix("$").strip()
    return text or None


def _tasks(text: str) -> dict[str, str]:
    """Task types and their models, a line each."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        task, equals, model = line.rpartition("=")
        if not equals or not task.strip() or not model.strip():
            raise InvalidJob(
                "task_routing: write a task type and its model in each line, as in "
                "“triage = openai/gpt-4o-mini”",
                field="task_routing",
            )
        found[task.strip()] = model.strip()
    return found
