"""``vedette track``: the tracks of a file of reports, or of a node's journal."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.console import Console
from rich.progress import Progress

from adapters.registry import load_all
from config import engine_config, load_sensors
from ingest.shedding import decided
from journal.reader import LogReader
from model.errors import InputFileError, Quarantined
from model.ports import OutputBatch
from model.records import Kind, Record
from model.time import MAX_TIME_NS, ns_from_iso, ns_from_seconds
from vedette.engine import Engine
from vedette.lines import picture, update_lines
from vedette.profile import Profile

SHOWN_PROBLEMS = 20
"""Refused items printed one by one; the rest is only counted."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "track",
        help="tracks from a file of reports, or from a node's journal",
        description="Prints one picture (JSON Lines) per report in order of arrival.",
        epilog="Example: vedette track --sensors sensors.toml reports.jsonl --out pictures.jsonl",
    )
    parser.add_argument("reports", type=Path, nargs="?", metavar="REPORTS.jsonl")
    parser.add_argument("--sensors", type=Path, metavar="S.toml", help="sensors or site file")
    parser.add_argument("--journal", type=Path, metavar="DIR", help="a node's journal instead")
    parser.add_argument("--out", type=Path, metavar="FILE", help="pictures go there, not to stdout")
    parser.add_argument("--updates", type=Path, metavar="FILE", help="write track updates too")
    parser.add_argument(
        "--no-pictures", action="store_true", help="updates only; a good deal faster"
    )
    parser.add_argument(
        "--profile", action="store_true", help="say on stderr where time goes, step by step"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Track and print."""
    if (args.reports is None) == (args.journal is None):
        sys.stderr.write("vedette track: give REPORTS.jsonl or --journal DIR, one of the two\n")
        return 2
    profile = Profile() if args.profile else None
    engine = Engine(engine_config, load_all(), None if profile is None else profile.lap)
    if args.journal is not None:
        records, total, name = _journal_records(args.journal, engine)
    else:
        if args.sensors is None:
            sys.stderr.write("vedette track: --sensors S.toml is missing\n")
            return 2
        records, total, name = _file_records(args.reports, args.sensors)
    with ExitStack() as stack:
        pictures = None if args.no_pictures else _open(stack, args.out) or sys.stdout
        updates = _open(stack, args.updates)
        progress = stack.enter_context(
            Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        )
        task = progress.add_task(f"tracking {name}", total=total)
        writer = _Writer(engine, pictures, updates, name, journal=args.journal is not None)
        for batch in _batches(records, 1 if pictures is not None else 256):
            writer.take(batch)
            if profile is not None:
                profile.lap("pictures and updates")
            progress.advance(task, len(batch))
    writer.close()
    if profile is not None:
        profile.show(Console(stderr=True), engine.counters().get("fusion", {}).get("reports", 0))
    return 0


class _Writer:
    """Runs the engine over records and writes what came of them."""

    def __init__(
        self,
        engine: Engine,
        pictures: IO[str] | None,
        updates: IO[str] | None,
        name: str,
        *,
        journal: bool,
    ) -> None:
        self.engine, self.pictures, self.updates = engine, pictures, updates
        self.name, self.journal = name, journal
        self.newest_ns = 0
        self.refused: Counter[str] = Counter()

    def take(self, records: Sequence[Record]) -> None:
        batch = self.engine.process(records)
        for item in batch.quarantined:
            self._complain(item)
        if self.updates is not None and len(batch.updates):
            assert self.engine.config is not None  # noqa: S101 - updates come after a CONFIG
            lines = update_lines(batch.updates, self.engine.config.node, batch.sensor_ids)
            for line in lines:
                self.updates.write(msgspec.json.encode(line).decode() + "\n")
        if self.pictures is not None and batch.detections.n_reports:
            self._picture(batch, self.pictures)

    def _picture(self, batch: OutputBatch, out: IO[str]) -> None:
        detections = batch.detections
        self.newest_ns = max(self.newest_ns, int(detections.time.max()))
        shown = self.engine.tracker.picture(self.newest_ns)
        for sensor in detections.sensor.tolist():
            line = picture(self.newest_ns, batch.sensor_ids[sensor], shown, batch.sensor_ids)
            out.write(msgspec.json.encode(line).decode() + "\n")

    def _complain(self, item: Quarantined) -> None:
        self.refused[str(item.reason)] += 1
        if self.refused.total() <= SHOWN_PROBLEMS:
            where = f"offset {item.offset}" if self.journal else f"line {item.offset}"
            part = "" if item.item < 0 else f", item {item.item}"
            sys.stderr.write(
                f"{self.name}: {where}{part}: sensor {item.sensor!r}: {item.reason}: "
                f"{item.detail}\n"
            )

    def close(self) -> None:
        for reason, count in sorted(self.refused.items()):
            sys.stderr.write(f"{self.name}: {count} refused: {reason}\n")
        fusion = self.engine.counters().get("fusion", {})
        for key in ("too_late", "refused"):
            if fusion.get(key):
                sys.stderr.write(f"{self.name}: {fusion[key]} not fused: {key}\n")


def _open(stack: ExitStack, path: Path | None) -> IO[str] | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}") from error


def _batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _journal_records(directory: Path, engine: Engine) -> tuple[Iterator[Record], int, str]:
    if not directory.is_dir():
        raise InputFileError(f"{directory}: no such folder")
    reader = LogReader(directory)
    if reader.start() > 0:
        raise InputFileError(
            f"{directory}: begins at offset {reader.start()}: what came before was let go, so its "
            "tracks cannot be computed from it alone"
        )
    for record in _read_all(reader):
        if record.kind == Kind.SHED:
            for decision in decided(record.payload, record.offset):
                engine.shed(*decision)
    return _read_all(reader), reader.end(), str(directory)


def _read_all(reader: LogReader) -> Iterator[Record]:
    offset = 0
    while records := reader.read(offset, max_records=1024):
        yield from records
        offset = records[-1].offset + 1


class _Head(msgspec.Struct):
    """What has to be known of a line before it is decoded."""

    sensor: str
    time: float | str | None = None
    time_ns: int | None = None


def _file_records(path: Path, sensors: Path) -> tuple[Iterator[Record], int, str]:
    payload = load_sensors(sensors, adapters=load_all())
    config = engine_config(payload)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror}") from error
    root = f"{'vedette-exercise' if config.mode else 'vedette'}/{config.node}/sensors"

    def records() -> Iterator[Record]:
        # Offsets are line numbers: the configuration takes 0. A file has no arrival times, so a
        # report arrives when the newest so far was made.
        yield Record(0, Kind.CONFIG, 0, "", payload)
        newest = 0
        for number, line in enumerate(lines, start=1):
            sensor, time_ns = _head(line)
            newest = max(newest, time_ns)
            yield Record(number, Kind.MESSAGE, newest, f"{root}/{sensor}/reports", line)

    return records(), len(lines) + 1, str(path)


def _head(line: bytes) -> tuple[str, int]:
    """Sensor and time of a line; what cannot be read is left for the decoder to refuse."""
    try:
        head = msgspec.json.decode(line, type=_Head)
    except (msgspec.MsgspecError, ValueError):
        return "unreadable", 0
    time: Any = head.time
    try:
        if head.time_ns is not None:
            time_ns = head.time_ns
        else:
            time_ns = ns_from_iso(time) if isinstance(time, str) else ns_from_seconds(time)
    except (ValueError, TypeError):
        time_ns = 0
    return head.sensor, time_ns if 0 <= time_ns <= MAX_TIME_NS else 0
