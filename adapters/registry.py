"""Finds adapters by the name a site file uses.

An adapter is an object with the four members of `model.ports.Adapter`, named by an entry point of
the group ``vedette.adapters``. Those of this program and those of other distributions are found
in the same way.
"""

from collections.abc import Iterable
from importlib.metadata import entry_points

from model.errors import ConfigError
from model.ports import Adapter

GROUP = "vedette.adapters"
"""Entry point group that names adapters."""


def names() -> tuple[str, ...]:
    """Names of all adapters installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def load(name: str) -> Adapter:
    """The adapter of that name.

    Parameters
    ----------
    name
        As in a site file.

    Raises
    ------
    ConfigError
        If no adapter has that name, two distributions claim it, or it cannot be imported or used.
    """
    points = list(entry_points(group=GROUP, name=name))
    if not points:
        raise ConfigError([f"adapter {name!r}: there is none; known are {', '.join(names())}"])
    if len({point.value for point in points}) > 1:
        owners = ", ".join(sorted(point.value for point in points))
        raise ConfigError([f"adapter {name!r}: more than one claims the name: {owners}"])
    value = points[0].value
    try:
        adapter: Adapter = points[0].load()
    except Exception as error:  # foreign code: whatever it raises, name the culprit
        raise ConfigError([f"adapter {name!r}: cannot load {value}: {error}"]) from error
    problems = check(adapter)
    if not problems and adapter.name != name:
        problems = [f"calls itself {adapter.name!r}"]
    if problems:
        raise ConfigError([f"adapter {name!r} ({value}): {problem}" for problem in problems])
    return adapter


def load_all(wanted: Iterable[str] | None = None) -> dict[str, Adapter]:
    """Adapters by name: those wanted (and always ``report``), or all that are installed.

    Raises
    ------
    ConfigError
        With a line for every one that cannot be had.
    """
    chosen = names() if wanted is None else sorted({"report", *wanted})
    loaded: dict[str, Adapter] = {}
    problems: list[str] = []
    for name in chosen:
        try:
            loaded[name] = load(name)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return loaded


def versions(adapters: Iterable[Adapter]) -> dict[str, str]:
    """Version of each adapter by name: part of what makes outcomes repeatable."""
    return {adapter.name: adapter.version for adapter in adapters}


def check(adapter: object) -> list[str]:
    """What an object lacks to be an adapter, a line each."""
    problems = [
        f"{member} is not a text that says something"
        for member in ("name", "version")
        if not isinstance(getattr(adapter, member, None), str) or not getattr(adapter, member)
    ]
    problems += [
        f"{member} cannot be called"
        for member in ("check_options", "decode")
        if not callable(getattr(adapter, member, None))
    ]
    return problems
