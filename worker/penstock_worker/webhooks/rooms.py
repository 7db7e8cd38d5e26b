"""Pure: who of those with deliveries due may send how many now.

A host that does not answer holds its attempts for their whole timeout. So a workspace has few at
each host, not too many in all, and whoever has the fewest under way goes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

#: A workspace and a host that it sends to.
Flow = tuple[str, str]

#: Attempts under way in one steward: in all, of one workspace, and of it at one host.
IN_FLIGHT: Final = 128
PER_WORKSPACE: Final = 32
PER_HOST: Final = 16


def rooms(
    due: Sequence[Flow], *, flying: Mapping[Flow, int], served: Mapping[Flow, int]
) -> dict[Flow, int]:
    """How many more attempts each flow may begin; `served` says when each last did, in turns.

    Flows without room are left out. One attempt each goes before anybody's second.
    """
    of_workspace: Counter[str] = Counter()
    for (workspace, _), count in flying.items():
        of_workspace[workspace] += count
    free = IN_FLIGHT - of_workspace.total()
    given: Counter[Flow] = Counter()
    order = sorted(due, key=lambda flow: (flying.get(flow, 0), served.get(flow, 0)))
    for _ in range(PER_HOST):
        for flow in order:
            if free <= 0:
                return {flow: count for flow, count in given.items() if count}
            at_host = flying.get(flow, 0) + given[flow]
            if at_host < PER_HOST and of_workspace[flow[0]] < PER_WORKSPACE:
                given[flow] += 1
                of_workspace[flow[0]] += 1
                free -= 1
    return {flow: count for flow, count in given.items() if count}
