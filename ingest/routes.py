"""From a topic to a sensor and its adapter, and out of the frames of gateways."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from model.detections import Mode
from model.errors import ConfigError, Reason
from model.ports import Adapter
from model.sensors import Sensors

ROOTS = {Mode.LIVE: "vedette", Mode.EXERCISE: "vedette-exercise"}
"""First level of the topics of a node of each mode."""

REPORT_ADAPTER = "report"
"""Name of the adapter of everything on ``reports``."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes; without an adapter it is no business of ingest (``status``)."""

    sensor: int
    adapter: str
    framed: bool = False


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Why a message goes nowhere, and the sensor that its topic names, if any."""

    reason: Reason
    sensor: str
    detail: str


class Frame(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A gateway's frame: ``[boot, seq, received_ns, bytes]``."""

    boot: Annotated[str, Meta(min_length=1, max_length=24)]
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    received_ns: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    payload: bytes


_FRAME = msgspec.msgpack.Decoder(Frame)
_FRAME_ENCODER = msgspec.msgpack.Encoder()


def unwrap(payload: bytes) -> Frame | str:
    """The frame in a payload, or what is wrong with it."""
    try:
        frame = _FRAME.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    if len(frame.boot.encode("utf-8", "replace")) > 24 or "\0" in frame.boot:
        return "boot: over 24 bytes, or with a NUL"
    return frame


def wrap(boot: str, seq: int, received_ns: int, payload: bytes) -> bytes:
    """A frame, for gateways, simulators and tests."""
    return _FRAME_ENCODER.encode(Frame(boot, seq, received_ns, payload))


class Routes:
    """The topics of a node.

    Parameters
    ----------
    node, mode
        Name and mode of the node: the first two levels of its topics.
    sensors
        Whose topics; one with the adapter ``""`` was taken out of the site and has none.
    adapters
        By name.

    Raises
    ------
    ConfigError
        If a sensor names an adapter that is not there, or two sensors are bound to one topic.
    """

    def __init__(
        self, node: str, mode: Mode, sensors: Sensors, adapters: Mapping[str, Adapter]
    ) -> None:
        self._node, self._mode, self._sensors = node, mode, sensors
        self._exact: dict[str, Route] = {}
        self._filters: list[tuple[list[str], Route]] = []
        problems = []
        root = f"{ROOTS[mode]}/{node}/sensors"
        for index, sensor in enumerate(sensors):
            if not sensor.adapter:
                continue  # taken out of the site: deaf
            if sensor.adapter not in adapters:
                known = ", ".join(sorted(adapters))
                problems.append(
                    f"sensor {sensor.id!r}: adapter: {sensor.adapter!r} is not known ({known})"
                )
            own = f"{root}/{sensor.id}"
            self._exact[f"{own}/reports"] = Route(index, REPORT_ADAPTER)
            self._exact[f"{own}/raw"] = Route(index, sensor.adapter)
            self._exact[f"{own}/framed"] = Route(index, sensor.adapter, framed=True)
            self._exact[f"{own}/status"] = Route(index, "")
        for index, sensor in enumerate(sensors):
            route = Route(index, sensor.adapter)
            for topic in sensor.topics if sensor.adapter else ():
                if "+" in topic or "#" in topic:
                    self._filters.append((topic.split("/"), route))
                elif self._exact.setdefault(topic, route) is not route:
                    problems.append(f"sensor {sensor.id!r}: topics: {topic!r} is taken")
        if REPORT_ADAPTER not in adapters:
            problems.append(f"adapter {REPORT_ADAPTER!r}: missing; every node needs it")
        if problems:
            raise ConfigError(problems)

    def find(self, topic: str) -> Route | NoRoute:
        """Where a message with that topic goes."""
        route = self._exact.get(topic)
        if route is not None:
            return route
        levels = topic.split("/")
        for pattern, bound in self._filters:
            if matches(pattern, levels):
                return bound
        return self._explain(topic, levels)

    def _explain(self, topic: str, levels: list[str]) -> NoRoute:
        if len(levels) != 5 or levels[0] not in ROOTS.values() or levels[2] != "sensors":
            return NoRoute(Reason.UNKNOWN_TOPIC, "", f"topic {topic!r} is bound to nothing")
        root, node, _, sensor, leaf = levels
        if node != self._node:
            return NoRoute(Reason.UNKNOWN_TOPIC, sensor, f"topic of node {node!r}")
        if root != ROOTS[self._mode]:
            detail = f"topic begins with {root!r}; this node is {self._mode.name.lower()}"
            return NoRoute(Reason.WRONG_MODE, sensor, detail)
        index = self._sensors.index(sensor)
        if index is None or not self._sensors[index].adapter:
            return NoRoute(Reason.UNKNOWN_SENSOR, sensor, f"no sensor {sensor!r} in the site file")
        return NoRoute(Reason.UNKNOWN_TOPIC, sensor, f"no topic {leaf!r} of a sensor")


def matches(pattern: list[str], levels: list[str]) -> bool:
    """Whether the levels of a topic match those of a filter (MQTT 5.0, section 4.7)."""
    for place, level in enumerate(pattern):
        if level == "#":
            return not (place == 0 and levels[0].startswith("$"))
        if place >= len(levels):
            return False
        if level == "+":
            if place == 0 and levels[0].startswith("$"):
                return False
        elif level != levels[place]:
            return False
    return len(levels) == len(pattern)
