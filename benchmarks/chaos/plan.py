"""The plan of a round: which fault comes when. A pure function of seed and number."""

import random
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Target(StrEnum):
    """What a fault is done to."""

    CORE = "core"
    SERVE = "serve"
    PUBLISHER = "publisher"
    SUPERVISOR = "supervisor"
    BROKER = "broker"
    POSTGRES = "postgres"
    BACKEND = "backend"
    """One server process of PostgreSQL; the server then starts all of them anew."""
    SOURCE = "source"
    LINK = "link"
    """The connections to the broker: all of them, or every second one."""


class Action(StrEnum):
    """What is done."""

    KILL = "kill"
    """SIGKILL; of PostgreSQL to all its processes at once, as an immediate end. Of connections:
    they are reset, and what is under way is lost."""
    FREEZE = "freeze"
    """SIGSTOP, and SIGCONT later: a machine that swaps, a disk that hangs, a debugger. Of
    connections: nothing is passed on meanwhile."""


WEIGHTS = {
    Target.CORE: 30,
    Target.SERVE: 14,
    Target.PUBLISHER: 12,
    Target.BROKER: 12,
    Target.SOURCE: 12,
    Target.POSTGRES: 8,
    Target.BACKEND: 8,
    Target.LINK: 12,
    Target.SUPERVISOR: 4,
}
"""How often a target is chosen. The core most: it alone holds what the others can get again."""

FREEZES = 0.4
"""Part of the faults that are freezes; a backend is only killed."""

FREEZE_S = (0.1, 5.0)
"""Shortest and longest freeze, s; drawn so that short ones are as frequent as long ones."""

AWAY_S = (0.1, 3.0)
"""How long that stays away which nobody but us starts again, s."""

TOGETHER = 0.25
"""Part of the faults that come close behind the one before, so that they overlap."""

TOGETHER_REPORTS = 20
"""Reports between two such faults at most."""

APART_REPORTS = 60
"""Reports between two other faults at least: time to come back on a quiet machine."""

MEAN_REPORTS = 120
"""Mean of what is added to that, reports."""

HEAD_REPORTS = 150
"""Reports before the first fault: there are tracks by then."""

TAIL_REPORTS = 150
"""Reports after the last fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a round.

    Parameters
    ----------
    number
        From 0 within the round.
    at
        Reports that sources have written down by then: progress, not time, so that a slow machine
        meets the same faults at the same places.
    target, action
        What is done to whom.
    seconds
        How long it is frozen, or stays away if nobody but us starts it again.
    part
        Which one, where there are several; taken modulo their number.
    """

    number: int
    at: int
    target: Target
    action: Action
    seconds: float
    part: int

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of a round, and how many reports are sent in it.

    Parameters
    ----------
    seed, number
        Of the campaign, and of the round in it: together they give everything else.
    faults
        In the order in which they come.
    reports
        Reports that sources make in all.
    shedding
        Whether the node may let inputs go when it is behind (`limits.shed_after_s`).
    """

    seed: int
    number: int
    faults: tuple[Fault, ...]
    reports: int
    shedding: bool


def plan(seed: int, number: int, faults: int) -> Plan:
    """Draw the plan of a round.

    Parameters
    ----------
    seed
        Of the campaign.
    number
        Of the round, from 0.
    faults
        How many.
    """
    choice = random.Random(f"{seed}/{number}")
    targets = list(WEIGHTS)
    drawn: list[Fault] = []
    at = HEAD_REPORTS
    for index in range(faults):
        target = choice.choices(targets, [WEIGHTS[one] for one in targets])[0]
        freeze = choice.random() < FREEZES and target != Target.BACKEND
        low, high = FREEZE_S if freeze else AWAY_S
        seconds = round(low * (high / low) ** choice.random(), 2)
        action = Action.FREEZE if freeze else Action.KILL
        drawn.append(Fault(index, at, target, action, seconds, choice.randrange(1_000)))
        if choice.random() < TOGETHER:
            at += choice.randrange(TOGETHER_REPORTS + 1)
        else:
            at += APART_REPORTS + round(choice.expovariate(1.0 / MEAN_REPORTS))
    return Plan(seed, number, tuple(drawn), at + TAIL_REPORTS, shedding=choice.random() < 0.5)
