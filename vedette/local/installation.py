"""Checks that our import names are ours.

The program's rooms are imported by plain names (`model`, `link`, `config`, ...), because it is an
application in an environment of its own. Another distribution with one of these names would be
imported instead of, or mixed into, ours.
"""

import importlib.util
from importlib.metadata import packages_distributions
from pathlib import Path

DISTRIBUTION = "vedette"
"""Name of our distribution."""

ROOMS = (
    "vedette",
    "config",
    "ingest",
    "storage",
    "sharing",
    "watch",
    "console",
    "exercise",
    "adapters",
    "fusion",
    "link",
    "journal",
    "model",
)
"""Our import names."""


def foreign_owners() -> list[str]:
    """Import names of ours that another distribution has, or that lead elsewhere.

    Returns
    -------
    list of str
        One line each for a person; empty: all is well.
    """
    root = Path(__file__).resolve().parents[2]
    owners = packages_distributions()
    problems = []
    for room in ROOMS:
        others = sorted(set(owners.get(room, ())) - {DISTRIBUTION})
        problems += [
            f"the distribution {other} brings a package {room}, which is a name of ours: "
            "install vedette into an environment of its own"
            for other in others
        ]
        spec = importlib.util.find_spec(room)
        places = list((spec and spec.submodule_search_locations) or ())
        if [Path(place).resolve() for place in places] != [root / room]:
            problems.append(f"import {room} leads to {places}, not to {root / room}")
    return problems
