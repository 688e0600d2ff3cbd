"""Snapshots: the newest usable one, and what became of the others."""

from pathlib import Path

import numpy as np
import pytest

from journal.snapshot import SnapshotStore
from model.errors import JournalError, JournalFull


def state(n: int) -> dict[str, object]:
    return {"n": n, "name": "x" * n, "covariance": np.full((n, 2, 2), float(n))}


def filled(directory: Path) -> SnapshotStore:
    store = SnapshotStore(directory)
    for n in (1, 2, 3, 4):
        store.save(n * 10, state(n))
    return store


def test_newest_comes_back_and_old_ones_go(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "snapshots")
    assert store.load() is None
    assert store.oldest is None
    store = filled(tmp_path / "snapshots")
    assert [path.name for path in sorted(store.directory.iterdir())] == [
        f"{offset:020d}.snap" for offset in (20, 30, 40)
    ]
    assert store.oldest == 20
    loaded = SnapshotStore(store.directory).load()
    assert loaded is not None
    offset, found = loaded
    assert offset == 40
    assert (found["n"], found["name"]) == (4, "xxxx")
    np.testing.assert_array_equal(found["covariance"], np.full((4, 2, 2), 4.0))
    for at_most, expected in ((39, 30), (30, 30), (20, 20)):
        loaded = store.load(at_most)
        assert loaded is not None
        assert loaded[0] == expected
    assert store.load(19) is None
    assert store.damaged == []


def test_golden_bytes(tmp_path: Path) -> None:
    SnapshotStore(tmp_path).save(300, {"a": 1})
    assert (tmp_path / f"{300:020d}.snap").read_bytes() == bytes.fromhex(
        # magic, version and zero, offset, length; the packed state; CRC32C of all before
        "56445453 4e500d0a 0100 0000 2c010000 00000000 05000000 00000000 0181a16101 5d108dfd"
    )


def test_every_flip_and_cut_is_skipped_and_reported(tmp_path: Path) -> None:
    directory = filled(tmp_path).directory
    path = directory / f"{40:020d}.snap"
    whole = path.read_bytes()
    variants = [whole[:at] for at in range(0, len(whole), 7)]
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        variants.append(bytes(data))
    for variant in variants:
        path.write_bytes(variant)
        store = SnapshotStore(directory)
        loaded = store.load()
        assert loaded is not None
        assert loaded[0] == 30
        assert [one.path for one in store.damaged] == [path]
        assert str(path) in store.damaged[0].problem
    # the one that is damaged does not push out a usable one, and goes with those older than it
    store.save(50, state(5))
    assert store.oldest == 20
    store.save(40, state(4))
    assert store.damaged == []
    assert store.oldest == 30


def test_damaged_ones_are_reported_once_and_cleared_in_time(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / f"{20:020d}.snap").write_bytes(b"")
    assert store.load(25) is None
    assert store.load(25) is None
    assert len(store.damaged) == 1
    assert store.oldest == 30
    store.save(50, state(5))
    assert not (tmp_path / f"{20:020d}.snap").exists()
    assert store.oldest == 30


def test_renamed_snapshot_is_not_believed(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / f"{40:020d}.snap").rename(tmp_path / f"{41:020d}.snap")
    loaded = store.load()
    assert loaded is not None
    assert loaded[0] == 30
    assert "does not fit its name" in store.damaged[0].problem


def test_refusals_leave_the_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    with pytest.raises(JournalError, match="cannot be packed"):
        store.save(50, object())
    with pytest.raises(JournalError, match="below 0"):
        store.save(-1, {})

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("journal.disk.write_all", full)
        with pytest.raises(JournalFull, match=r"00050\.snap"):
            store.save(50, state(5))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{offset:020d}.snap" for offset in (20, 30, 40)
    ]
    (tmp_path / f"{60:020d}.snap.tmp").write_bytes(b"left by a crash")
    assert SnapshotStore(tmp_path).oldest == 20
    assert not list(tmp_path.glob("*.tmp"))
    with pytest.raises(ValueError, match="keep=0"):
        SnapshotStore(tmp_path, keep=0)
