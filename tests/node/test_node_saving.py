"""Snapshots beside the work: of one moment, behind their outputs, and failures are told."""

import logging
import threading
from pathlib import Path

import pytest

from adapters.registry import load_all
from config import engine_config
from journal.log import SegmentedLog
from journal.snapshot import SnapshotStore
from model.errors import JournalError, JournalFull
from model.records import Kind, Record
from tests.node.folder import START_NS
from vedette.engine import Engine
from vedette.outputs import OutputLog
from vedette.saving import Saver


class Held:
    """An output log and an engine that has run some inputs, their outputs written."""

    def __init__(self, path: Path) -> None:
        self.log = SegmentedLog(path / "outputs")
        self.outputs = OutputLog(self.log, threading.Event())
        self.snapshots = SnapshotStore(path / "snapshots")
        self.saved = 0
        self.engine = Engine(engine_config, load_all())
        self.saver = Saver(self.outputs, self.snapshots, self._count)

    def _count(self) -> None:
        self.saved += 1

    def tick(self) -> None:
        record = Record(self.engine.next_offset, Kind.TICK, START_NS, "", b"", 0)
        self.outputs.write(self.engine.process([record]))


@pytest.fixture
def held(tmp_path):
    made = Held(tmp_path)
    yield made
    made.saver.close()
    made.log.close()


def test_what_is_saved_is_of_the_moment_it_was_asked_for(held, monkeypatch) -> None:
    go_on = threading.Event()
    put = held.snapshots.put

    def slow(offset: int, packed: bytes) -> None:
        assert go_on.wait(30.0)
        put(offset, packed)

    monkeypatch.setattr(held.snapshots, "put", slow)
    held.tick()
    held.saver.save(held.engine)
    held.tick()
    held.saver.save(held.engine)  # the first is under way: left out
    go_on.set()
    held.saver.finish()
    offset, state = held.snapshots.load()
    assert offset == state["next_offset"] == 1
    assert held.saved == 1
    held.saver.save(held.engine)
    held.saver.finish()
    assert held.snapshots.load()[0] == 2


def test_a_full_disk_leaves_a_snapshot_out_and_anything_else_is_raised(
    held, monkeypatch, caplog
) -> None:
    errors = [JournalFull("no room"), JournalError("broken")]

    def refuse(_offset: int, _packed: bytes) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(held.snapshots, "put", refuse)
    held.tick()
    with caplog.at_level(logging.ERROR):
        held.saver.save(held.engine)
        held.saver.finish()
    assert "snapshot left out: no room" in caplog.text
    held.saver.save(held.engine)
    with pytest.raises(JournalError, match="broken"):
        held.saver.finish()
    assert held.saved == 0


def test_outputs_are_durable_before_a_snapshot_is_there(held, monkeypatch) -> None:
    order: list[str] = []
    sync, put = held.outputs.sync, held.snapshots.put

    def noted_sync() -> None:
        sync()
        order.append("sync")

    def noted_put(offset: int, packed: bytes) -> None:
        put(offset, packed)
        order.append("put")

    monkeypatch.setattr(held.outputs, "sync", noted_sync)
    monkeypatch.setattr(held.snapshots, "put", noted_put)
    held.tick()
    held.saver.save(held.engine)
    held.saver.sync()
    held.saver.finish()
    assert order == ["sync", "put", "sync"]
