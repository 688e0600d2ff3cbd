"""The cursor: one offset, old or new, never another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.cursor import Cursor
from model.errors import JournalError


def test_golden_bytes(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "deep" / "storage")
    assert cursor.load() is None
    cursor.save(42)
    assert cursor.path.read_bytes() == b"vedette-cursor-1 42 10d69120\n"
    assert cursor.load() == 42
    cursor.save(2**63)
    assert Cursor(cursor.path).load() == 2**63
    assert [path.name for path in cursor.path.parent.iterdir()] == ["storage"]
    with pytest.raises(JournalError, match="offset -1"):
        cursor.save(-1)


def test_every_flip_and_cut_is_found(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(1234567)
    whole = cursor.path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            cursor.path.write_bytes(data)
            with pytest.raises(JournalError, match="cursor is damaged"):
                cursor.load()
        if at < len(whole) - 1:  # without the newline it is whole
            cursor.path.write_bytes(whole[:at])
            with pytest.raises(JournalError, match=str(cursor.path)):
                cursor.load()


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    cursor = Cursor(tmp_path_factory.getbasetemp() / "any-cursor")
    cursor.path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged"):
        cursor.load()


def test_full_disk_leaves_the_old_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(1)

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("journal.disk.write_all", full)
        with pytest.raises(JournalError, match="No space left"):
            cursor.save(2)
    assert cursor.load() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cursor"]


def test_a_crash_before_the_rename_leaves_the_old_offset(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(1)
    (tmp_path / "cursor.tmp").write_bytes(b"vedette-curs")
    assert cursor.load() == 1
    cursor.save(2)
    assert cursor.load() == 2
