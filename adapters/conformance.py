"""Proof that an adapter keeps the contract, as far as samples can show it; see `verify`."""

import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from adapters.contract import check as check_decoded
from adapters.registry import check
from adapters.state import BoundedState, is_plain
from model.detections import Detections
from model.errors import Quarantined
from model.ports import Adapter, Decoded, Messages
from model.sensors import Sensor, Sensors
from model.time import NS_PER_S

RECEIVED_NS = 1_772_366_400 * NS_PER_S
"""When the first sample is taken in, unless told: 2026-03-01T12:00:00Z, ns."""

MUTATIONS = 200
"""Damaged payloads tried for each kind of damage."""

FLOOD = 400
"""Payloads after which the state of one sensor is weighed."""

STATE_BYTES = 256 * 1024
"""What an adapter may remember of one sensor after that, bytes of MessagePack."""

_ENCODER = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Report:
    """What `verify` found: one line for each check, failed or not.

    Parameters
    ----------
    adapter
        Name and version.
    passed_checks, failures
        Lines for people.
    """

    adapter: str
    passed_checks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def __str__(self) -> str:
        lines = [f"adapter {self.adapter}: {'conforms' if self.passed else 'DOES NOT CONFORM'}"]
        lines += [f"  ok    {line}" for line in self.passed_checks]
        lines += [f"  FAIL  {line}" for line in self.failures]
        return "\n".join(lines)


class Broken(Exception):  # noqa: N818 - what a check found
    """Internal: a check failed, and how."""


class _WatchedState(BoundedState):
    """A state that notices values changed in place, or that a snapshot cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[str, Any, Any]] = []

    def get(self, key: str) -> Any | None:
        value = super().get(key)
        self._shown.append((key, value, deepcopy(value)))
        return value

    def put(self, key: str, value: Any) -> None:
        if not is_plain(value):
            raise Broken(
                f"state {key!r}: not plain data (None, bool, int, float, str, bytes, "
                f"lists and dicts of them)"
            )
        super().put(key, value)
        self._shown.append((key, value, deepcopy(value)))

    def settle(self) -> None:
        """Commit, after a look at what was shown."""
        for key, value, before in self._shown:
            if value != before:
                raise Broken(f"state {key!r}: changed in place; put a new value instead")
        self._shown.clear()
        self.commit()


def messages_of(
    payloads: Sequence[bytes],
    *,
    sensor: int = 0,
    first_offset: int = 0,
    received_ns: int = RECEIVED_NS,
    step_ns: int = 0,
) -> Messages:
    """A batch of raw messages of one sensor, as a node would hand it to `Adapter.decode`."""
    count = len(payloads)
    rows = np.arange(count, dtype=np.int64)
    return Messages(
        offset=rows + first_offset,
        received=received_ns + rows * step_ns,
        sensor=np.full(count, sensor, dtype=np.int32),
        payload=list(payloads),
        boot=np.zeros(count, dtype="S24"),
        seq=np.full(count, -1, dtype=np.int64),
    )


def verify(
    adapter: Adapter,
    samples: Sequence[bytes],
    sensor: Sensor | None = None,
    *,
    received_ns: int = RECEIVED_NS,
    seed: int = 1,
) -> Report:
    """Prove that an adapter keeps the contract, as far as samples can.

    Parameters
    ----------
    adapter
        The adapter.
    samples
        Payloads as the device sends them, in order; at least one must give a detection.
    sensor
        The site file's entry that the samples belong to; with the options they need.
    received_ns
        When the first sample is taken in; the others follow a millisecond apart.
    seed
        Of the damage done to the samples; the same seed does the same damage.

    Returns
    -------
    Report
        One line for each check. Printed, it says what failed and how to see it again.

    Notes
    -----
    Checked: the members of the port; that the samples decode; that arrays have their shapes and
    dtypes, and reports the offsets, sensors and times of their messages; that refusals name
    inputs that exist; that cutting the samples into batches otherwise, and a snapshot between any
    two, change nothing; that a batch taken back leaves nothing behind; that truncated, bit-flipped,
    joined and random bytes never raise; that what is remembered is plain data, never changed in
    place, and bounded.
    """
    label = f"{getattr(adapter, 'name', adapter)!s} {getattr(adapter, 'version', '?')!s}"
    report = Report(label)
    problems = check(adapter)
    if problems:
        report.failures += problems
        return report
    bench = _Bench(adapter, list(samples), sensor or Sensor("sensor-1", adapter.name), received_ns)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("options", bench.options),
        ("samples", bench.golden),
        ("batches", bench.cuts),
        ("snapshot", bench.snapshots),
        ("rollback", bench.rollback),
        ("damage", lambda: bench.damage(random.Random(seed))),
        ("memory", lambda: bench.memory(random.Random(seed + 1))),
    ]
    for name, run in checks:
        try:
            report.passed_checks.append(f"{name}: {run()}")
        except Broken as broken:
            report.failures.append(f"{name}: {broken}")
    return report


class _Bench:
    """The checks of `verify` on one adapter."""

    def __init__(
        self, adapter: Adapter, samples: list[bytes], sensor: Sensor, received_ns: int
    ) -> None:
        self.adapter, self.samples, self.received_ns = adapter, samples, received_ns
        # a second sensor shows whether what is remembered of one leaks into the other
        other = Sensor("another-sensor", sensor.adapter, sensor.position)
        self.sensors = Sensors([sensor, other])

    def decode(self, payloads: Sequence[bytes], state: BoundedState, first: int = 0) -> Decoded:
        """Decode one batch as a node does, and check what comes out."""
        messages = messages_of(
            payloads,
            first_offset=first,
            received_ns=self.received_ns + first * 1_000_000,
            step_ns=1_000_000,
        )
        try:
            decoded = self.adapter.decode(messages, self.sensors, state)
        except Broken:
            raise
        except Exception as error:
            shown = payloads[0] if len(payloads) == 1 else b""
            raise Broken(f"raised {error!r} on {_show(shown, len(payloads))}") from error
        try:
            check_decoded(decoded, messages, self.sensors)
        except Exception as error:
            raise Broken(f"{error} (on {_show(payloads[0], len(payloads))})") from error
        if isinstance(state, _WatchedState):
            state.settle()
        return decoded

    def run(self, cuts: Sequence[int]) -> tuple[list[Any], int]:
        """Outcome of the samples cut into batches of these sizes, in comparable form."""
        state = _WatchedState()
        parts: list[Decoded] = []
        first = 0
        for size in cuts:
            parts.append(self.decode(self.samples[first : first + size], state, first))
            first += size
        return _outcome(parts), len(Detections.concat([p.detections for p in parts]).report)

    def options(self) -> str:
        """The sensor's options are right, and an unknown one is found."""
        problems = self.adapter.check_options(self.sensors[0].options)
        if problems:
            raise Broken("; ".join(problems))
        if not self.adapter.check_options({"no such option": 1}):
            raise Broken("an unknown option is not found")
        return "checked"

    def golden(self) -> str:
        """The samples decode and give something."""
        state = _WatchedState()
        whole = self.decode(self.samples, state) if self.samples else None
        if whole is None or not whole.detections.n_detections:
            raise Broken("no sample gives a detection")
        return (
            f"{len(self.samples)} payloads, {whole.decoded} items understood, "
            f"{whole.detections.n_detections} detections, {len(whole.refused)} refused"
        )

    def cuts(self) -> str:
        """Any cut into batches gives the same."""
        count = len(self.samples)
        whole, _ = self.run([count])
        for size in sorted({1, 2, 3, 7, max(1, count // 2)}):
            cuts = [size] * (count // size) + ([count % size] if count % size else [])
            outcome, _ = self.run(cuts)
            _same(whole, outcome, f"in batches of {size}")
        return "cut in five ways, always the same"

    def snapshots(self) -> str:
        """What is remembered can be written down and read again between any two messages."""
        whole, _ = self.run([len(self.samples)])
        state: BoundedState = _WatchedState()
        parts = []
        for first, payload in enumerate(self.samples):
            parts.append(self.decode([payload], state, first))
            packed = _ENCODER.encode(state.export())
            state = _WatchedState()
            state.restore(msgspec.msgpack.decode(packed))
        _same(whole, _outcome(parts), "with a snapshot after every message")
        return "written and read after every message, nothing changed"

    def rollback(self) -> str:
        """A batch that is taken back and decoded again gives the same."""
        whole, _ = self.run([len(self.samples)])
        state = _WatchedState()
        parts = []
        for first, payload in enumerate(self.samples):
            before = _ENCODER.encode(state.export())
            messages = messages_of(
                [payload],
                first_offset=first,
                received_ns=self.received_ns + first * 1_000_000,
            )
            self.adapter.decode(messages, self.sensors, state)
            state.rollback()
            if _ENCODER.encode(state.export()) != before:
                raise Broken(f"message {first}: something stays behind after a rollback")
            parts.append(self.decode([payload], state, first))
        _same(whole, _outcome(parts), "with every batch taken back once")
        return "every message taken back once, nothing stayed behind"

    def damage(self, rng: random.Random) -> str:
        """Nothing raises, whatever the bytes."""
        state = _WatchedState()
        tried = 0
        for payload in _damaged(self.samples, rng):
            self.decode([payload], state, tried)
            tried += 1
        return f"{tried} damaged payloads, none raised"

    def memory(self, rng: random.Random) -> str:
        """What is remembered of one sensor does not grow without end."""
        state = _WatchedState()
        for first in range(FLOOD):
            payload = rng.choice(self.samples) if rng.random() < 0.5 else rng.randbytes(64)
            self.decode([payload[: rng.randrange(len(payload) + 1)]], state, first)
        size = len(_ENCODER.encode(state.export()))
        if size > STATE_BYTES:
            raise Broken(f"{size} bytes remembered of one sensor; the bound is {STATE_BYTES}")
        if len(state) > FLOOD // 4:
            raise Broken(f"{len(state)} keys for one sensor: they grow with its messages")
        return f"{size} bytes remembered after {FLOOD} messages"


def _damaged(samples: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Truncated, bit-flipped, joined and random payloads."""
    yield b""
    for _ in range(MUTATIONS):
        payload = rng.choice(samples)
        yield payload[: rng.randrange(len(payload) + 1)]
    for _ in range(MUTATIONS):
        flipped = bytearray(rng.choice(samples))
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            if flipped:
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    for _ in range(MUTATIONS // 4):
        one, two = rng.choice(samples), rng.choice(samples)
        yield one[: rng.randrange(len(one) + 1)] + two[rng.randrange(len(two) + 1) :]
    for _ in range(MUTATIONS):
        yield rng.randbytes(rng.randrange(1, 256))


def _outcome(parts: Sequence[Decoded]) -> list[Any]:
    """All that a decoder gave, in a form that compares: columns as lists, NaN as a word."""
    found = Detections.concat([part.detections for part in parts])
    starts = found.starts()
    rows = []
    for report in range(found.n_reports):
        one = found.take_reports([report])
        vertices = [
            found.vertices[a:b].tobytes() for a, b in (*one.looked_vertices, *one.line_vertices)
        ]
        columns = {
            name: column.tobytes()
            for name, column in one.columns().items()
            if name not in {"vertices", "looked_vertices", "line_vertices"}
        }
        rows.append((int(starts[report + 1] - starts[report]), columns, vertices))
    refused = sorted(
        (entry for part in parts for entry in part.refused),
        key=lambda entry: (entry.offset, entry.item, entry.reason, entry.detail),
    )
    return [rows, refused, sum(part.decoded for part in parts)]


def _same(expected: list[Any], found: list[Any], how: str) -> None:
    for name, one, two in zip(("reports", "refusals", "decoded"), expected, found, strict=True):
        if one == two:
            continue
        if isinstance(one, list) and len(one) != len(two):
            raise Broken(f"{how}: {len(two)} {name} instead of {len(one)}")
        if isinstance(one, list):
            at = next(i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
            raise Broken(f"{how}: {name}[{at}] differs{_difference(one[at], two[at])}")
        raise Broken(f"{how}: {two} {name} instead of {one}")


def _difference(one: Any, two: Any) -> str:
    if isinstance(one, Quarantined):
        return f": {two} instead of {one}"
    names = [name for name in one[1] if one[1][name] != two[1][name]]
    return f" in {', '.join(names)}" if names else ""


def _show(payload: bytes, count: int) -> str:
    if count != 1:
        return f"a batch of {count} payloads"
    return f"{len(payload)} bytes {payload[:48].hex()}{'…' if len(payload) > 48 else ''}"
