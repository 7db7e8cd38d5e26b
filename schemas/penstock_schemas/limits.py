"""Limits and pauses as operators name them: words and keys -> checked, typed settings. Pure.

The command line and the configuration file speak through here; the ledger keeps what comes out,
and the steward writes it into the providers' indexes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from penstock_schemas.errors import ConfigurationError
from penstock_schemas.ids import is_workspace_id
from penstock_schemas.status import Lane

LimitUnit = Literal["requests", "tokens", "input_tokens", "output_tokens", "concurrency"]
ScopeKind = Literal["provider", "credential", "group", "model", "workspace", "tag"]
Per = Literal["minute", "day"]

UNITS: Final[tuple[LimitUnit, ...]] = get_args(LimitUnit)
WINDOW_S: Final[Mapping[Per, int]] = {"minute": 60, "day": 86_400}
#: The scope of a provider as a whole.
WHOLE = "provider"
#: In a limit's scope: each name that has no limit of its own. As a pause's provider: every one.
EACH = "*"
#: Larger amounts are not exact in the index, which counts in doubles.
MOST = 10**15

_KINDS: Final[tuple[ScopeKind, ...]] = get_args(ScopeKind)
_NAME = re.compile(r"[^\s|*\x00-\x1f\x7f]{1,200}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSetting:
    """A limit that an operator set: `amount` units in each window of `window_s` seconds.

    Concurrency has no window (0): `amount` calls at the same time. `scope` is `provider`,
    `credential:<c>`, `group:<c>/<g>`, `model:<m>`, `workspace:<w>` or `tag:<t>`, where `*` stands
    for each name without a limit of its own.
    """

    provider: str
    scope: str
    unit: LimitUnit
    window_s: int
    amount: int

    @property
    def word(self) -> str:
        """The unit as operators write it: `requests`, `input-tokens/day`, `concurrency`."""
        return limit_word(self.unit, self.window_s)

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What it is a limit of: no two settings share one."""
        return (self.provider, self.scope, self.unit, self.window_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseTarget:
    """What an operator pauses at a provider, `*` for every one of them.

    `scope` is `provider`, `workspace:<w>`, `lane:<number>`, `model:<m>` or `tag:<t>`.
    """

    provider: str
    scope: str

    @property
    def shown(self) -> str:
        """In words: `everything`, `openai`, `workspace acme at openai`."""
        kind, _, name = self.scope.partition(":")
        if not name:
            return "everything" if self.provider == EACH else self.provider
        if kind == "lane":
            name = Lane(int(name)).label
        where = "every provider" if self.provider == EACH else self.provider
        return f"{kind} {name} at {where}"


def limit_setting(provider: str, scope: str, word: str, amount: float) -> LimitSetting:
    """A limit by an operator's words: a unit is by the minute, or by the day with `/day`.

    `limit_setting("openai", "model:gpt-4o", "input-tokens/day", 2_000_000)`. Raises
    ConfigurationError, one line that names what is wrong.
    """
    unit, window_s = parse_limit_word(word)
    whole = _whole(amount)
    if whole is None:
        raise ConfigurationError(f"{word}: {amount:g} is not a whole number from 1 to {MOST:.0e}")
    return LimitSetting(
        provider=_checked_name("provider", provider),
        scope=parse_scope(scope),
        unit=unit,
        window_s=window_s,
        amount=whole,
    )


def parse_limit_word(word: str) -> tuple[LimitUnit, int]:
    """Unit and window in seconds of `requests`, `tokens/day`, …; raises ConfigurationError."""
    name, slash, per = word.partition("/")
    unit = _unit(name.replace("-", "_"))
    if unit is None:
        known = ", ".join(each.replace("_", "-") for each in UNITS)
        raise ConfigurationError(f"limit: {word!r} is none of {known}")
    if unit == "concurrency":
        if slash:
            raise ConfigurationError(f"limit: {word!r}: concurrency has no window")
        return unit, 0
    window_s = next((seconds for known, seconds in WINDOW_S.items() if known == per), None)
    if slash and window_s is None:
        raise ConfigurationError(f"limit: {word!r}: a window is minute or day")
    return unit, window_s or WINDOW_S["minute"]


def limit_word(unit: str, window_s: int) -> str:
    """A unit and its window as operators write them; other windows in seconds."""
    name = unit.replace("_", "-")
    if window_s in {0, WINDOW_S["minute"]}:
        return name
    return f"{name}/day" if window_s == WINDOW_S["day"] else f"{name}/{window_s}s"


def parse_scope(text: str) -> str:
    """A limit's scope, checked; raises ConfigurationError."""
    kind, colon, name = text.partition(":")
    if kind not in _KINDS or bool(colon) != (kind != WHOLE):
        known = ", ".join((WHOLE, *(f"{each}:NAME" for each in _KINDS if each != WHOLE)))
        raise ConfigurationError(f"scope: {text!r} is none of {known}")
    if kind == WHOLE or name == EACH:
        return text
    if kind == "group" and not all(name.partition("/")[::2]):
        raise ConfigurationError(f"group: {name!r} is not written as CREDENTIAL/GROUP")
    return f"{kind}:{_checked_name(kind, name)}"


def limit_scope(**names: str | None) -> str:
    """The scope of the one kind whose name is given, the whole provider when none is.

    Raises ConfigurationError where several are given or the name cannot be one.
    """
    given = {kind: name for kind, name in names.items() if name is not None}
    _only_one(given)
    return next((parse_scope(f"{kind}:{name}") for kind, name in given.items()), WHOLE)


def pause_target(
    *,
    provider: str | None = None,
    workspace: str | None = None,
    lane: str | None = None,
    model: str | None = None,
    tag: str | None = None,
) -> PauseTarget:
    """What to pause; without a provider at every one, without another name as a whole.

    A model may be written `provider/model` when the provider is given too, or is the same.
    Raises ConfigurationError for several names, and for a name that cannot be one.
    """
    names = {"workspace": workspace, "lane": lane, "model": model, "tag": tag}
    given = {kind: name for kind, name in names.items() if name is not None}
    _only_one(given)
    where = EACH if provider is None else _checked_name("provider", provider)
    for kind, name in given.items():
        scope = f"lane:{_lane(name)}" if kind == "lane" else f"{kind}:{_checked_name(kind, name)}"
        return PauseTarget(provider=where, scope=scope)
    return PauseTarget(provider=where, scope=WHOLE)


def limits_of_file(provider: str, limits: Mapping[str, float]) -> tuple[LimitSetting, ...]:
    """The limits of `[providers.NAME.limits]`, by its keys `<unit>_per_minute`, `<unit>_per_day`
    and `concurrency`; raises ConfigurationError with the first mistake.
    """
    for mistake in mistakes_in_limits(limits):
        raise ConfigurationError(f"providers.{provider}.limits.{mistake}")
    return tuple(
        limit_setting(provider, WHOLE, _FILE_KEYS[key], amount) for key, amount in limits.items()
    )


def mistakes_in_limits(limits: Mapping[str, float]) -> list[str]:
    """A line for each key that is not known and each amount that cannot be one."""
    lines: list[str] = []
    for key, amount in limits.items():
        if key not in _FILE_KEYS:
            lines.append(f"{key}: is none of {', '.join(_FILE_KEYS)}")
        elif _whole(amount) is None:
            lines.append(f"{key}: {amount:g} is not a whole number from 1 to {MOST:.0e}")
    return lines


def merged(*layers: Iterable[LimitSetting]) -> tuple[LimitSetting, ...]:
    """All settings of some layers, each place once: what stands in a later layer goes first."""
    by_place = {setting.place: setting for layer in layers for setting in layer}
    return tuple(by_place[place] for place in sorted(by_place))


_FILE_KEYS: Final[Mapping[str, str]] = {
    "requests_per_minute": "requests",
    "tokens_per_minute": "tokens",
    "input_tokens_per_minute": "input-tokens",
    "output_tokens_per_minute": "output-tokens",
    "requests_per_day": "requests/day",
    "tokens_per_day": "tokens/day",
    "concurrency": "concurrency",
}


def _unit(name: str) -> LimitUnit | None:
    return next((unit for unit in UNITS if unit == name), None)


def _whole(amount: float) -> int | None:
    if isinstance(amount, bool) or not 1 <= amount <= MOST or amount != int(amount):
        return None
    return int(amount)


def _only_one(given: Mapping[str, str]) -> None:
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(f'--{kind}' for kind in given)}: give one of them")


def _checked_name(kind: str, name: str) -> str:
    good = _NAME.fullmatch(name) is not None
    if kind == "workspace":
        good = is_workspace_id(name)
    elif kind == "tag":
        good = _TAG.fullmatch(name) is not None
    if not good:
        raise ConfigurationError(f"{kind}: {name!r} cannot be the name of a {kind}")
    return name


def _lane(name: str) -> int:
    found = next((lane for lane in Lane if lane.label == name), None)
    if found is None:
        known = ", ".join(lane.label for lane in Lane)
        raise ConfigurationError(f"lane: {name!r} is none of {known}")
    return found.value
