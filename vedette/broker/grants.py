"""From a site file to what each identity may do at the node's broker.

Whoever is not named here may do nothing: operators, pages and strangers have no line.
"""

from collections.abc import Iterable

from config import Site
from ingest.routes import ROOTS, matches
from model.errors import ConfigError
from vedette.local.broker_files import Grant
from vedette.pki.names import Identity, PkiError, Role

DATA_LEAVES = ("reports", "raw", "framed")
"""Last levels of the topics on which a sensor says what it sees."""

SENSOR_LEAVES = (*DATA_LEAVES, "status")
"""Last levels of a sensor's own topics."""

GIVEN = ("live", "live.json", "backfill")
"""What a partner is given, last levels of its topics under an agreement."""

ANSWERS = ("ack", "control")
"""What comes back from it."""


def grants_of(site: Site) -> dict[Identity, Grant]:
    """What each identity may do.

    Parameters
    ----------
    site
        The site file.

    Raises
    ------
    ConfigError
        A name is too long for a certificate, two sources have one identity, or a sensor is bound to
        topics that are the node's own.
    """
    problems = _bound_problems(site)
    grants: dict[Identity, Grant] = {}

    def grant(identity: Identity, what: Grant, where: str) -> None:
        if identity in grants:
            problems.append(f"{site.path}: {where}: another has the identity {identity}")
        grants[identity] = what

    for make in (_node_grants, _source_grants, _partner_grants, _recording_grants):
        for where, role, name, what in make(site):
            try:
                grant(Identity(role, name), what, where)
            except PkiError as error:
                problems.append(f"{site.path}: {where}: {error}")
    if problems:
        raise ConfigError(problems)
    return grants


Row = tuple[str, Role, str, Grant]


def _node_grants(site: Site) -> Iterable[Row]:
    root = site.topic_root
    bound = [topic for sensor in site.engine.sensors for topic in sensor.topics]
    reads = [f"{root}/sensors/+/{leaf}" for leaf in SENSOR_LEAVES]
    reads += [f"{root}/commands", *dict.fromkeys(bound)]
    core = Grant((f"{root}/receipts/+", f"{root}/quarantine/#"), tuple(reads))
    yield "node.name", Role.NODE, site.node, core
    yield "node.name", Role.CONSOLE, site.node, Grant((f"{root}/commands",))


def _source_grants(site: Site) -> Iterable[Row]:
    root = site.topic_root
    topics = {sensor.id: sensor.topics for sensor in site.engine.sensors}
    for source in site.sources:
        writes = [
            topic
            for sensor in source.sensors
            for topic in (
                *(f"{root}/sensors/{sensor}/{leaf}" for leaf in SENSOR_LEAVES),
                *topics[sensor],
            )
        ]
        what = Grant(tuple(dict.fromkeys(writes)), (f"{root}/receipts/{source.id}",))
        name = source.certificate or source.id
        yield f"source {source.id!r}", Role.SOURCE, name, what


def _partner_grants(site: Site) -> Iterable[Row]:
    for partner in site.partners:
        if partner.agreement is None:
            continue  # it gives to us at its own broker, and has no business at ours
        shared = f"{site.topic_root}/shared/{partner.id}/+"
        given = tuple(f"{shared}/{lane}" for lane in GIVEN)
        answers = tuple(f"{shared}/{answer}" for answer in ANSWERS)
        where = f"partner {partner.id!r}"
        yield where, Role.PUBLISHER, partner.id, Grant(given, answers)
        yield where, Role.PARTNER, partner.id, Grant(answers, given)
        yield where, Role.VIEWER, partner.id, Grant((), (f"{shared}/live.json",))


def _recording_grants(site: Site) -> Iterable[Row]:
    leaves = [f"{site.topic_root}/sensors/+/{leaf}" for leaf in DATA_LEAVES]
    bound = [topic for sensor in site.engine.sensors for topic in sensor.topics]
    heard = tuple(dict.fromkeys([*leaves, *bound]))
    yield "node.name", Role.RECORDER, site.node, Grant((), heard)
    # Nobody plays into a live picture; on topics of existing hardware a live node may listen too.
    if site.mode == "exercise":
        yield "node.name", Role.PLAYER, site.node, Grant(tuple(leaves))


def _bound_problems(site: Site) -> list[str]:
    """Sensors bound to topics of ours: their source would get what is granted to nobody else."""
    own = [f"{root}/#" for root in ROOTS.values()]
    return [
        f"{site.path}: sensor {sensor.id!r}.topics: {topic!r} reaches into topics that are the "
        "node's own, so its source would be granted them"
        for sensor in site.engine.sensors
        for topic in sensor.topics
        if topic.startswith("$") or any(overlap(topic, reserved) for reserved in own)
    ]


def overlap(one: str, other: str) -> bool:
    """Whether some topic matches both filters (MQTT 5.0, section 4.7)."""
    return _overlap(one.split("/"), other.split("/"))


def _overlap(one: list[str], other: list[str]) -> bool:
    for index in range(max(len(one), len(other))):
        a = one[index] if index < len(one) else None
        b = other[index] if index < len(other) else None
        if a == "#" or b == "#":
            return True  # "#" also stands for no level at all
        if a is None or b is None:
            return False
        if a != b and "+" not in (a, b):
            return False
    return True


def covers(filters: Iterable[str], topic: str) -> bool:
    """Whether one of the filters matches a topic."""
    levels = topic.split("/")
    return any(matches(one.split("/"), levels) for one in filters)


def contains(filters: Iterable[str], asked: str) -> bool:
    """Whether everything that a filter asks for is in one of the filters."""
    return any(_contains(one.split("/"), asked.split("/")) for one in filters)


def _contains(wide: list[str], narrow: list[str]) -> bool:
    for index, level in enumerate(wide):
        if level == "#":
            return True
        if index >= len(narrow) or narrow[index] == "#":
            return False
        if level != "+" and level != narrow[index]:
            return False
    return len(wide) == len(narrow)
