"""The audit log: nothing in it can be changed, taken out or put in unseen."""

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.audit import FIRST, AuditError, AuditLog
from vedette.cli import main


def filled(path, count=5) -> AuditLog:
    log = AuditLog(path, clock_ns=lambda: 7)
    for number in range(count):
        log.add("pki.issue", identity=f"source:s{number}")
    return log


def test_every_entry_follows_the_one_before(tmp_path):
    log = filled(tmp_path / "audit.jsonl")
    entries = list(log.entries())
    assert [entry["n"] for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0]["previous"] == FIRST
    assert log.verify() == log.verify(entries[2]["hash"])
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_there_is_no_log_yet(tmp_path):
    with pytest.raises(AuditError, match="No such file"):
        AuditLog(tmp_path / "none").verify()


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_byte_can_be_changed(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    log = filled(path, 3)
    content = bytearray(path.read_bytes())
    place %= len(content)
    if content[place] == byte:
        return
    content[place] = byte
    head = log.verify()
    path.write_bytes(content)
    with pytest.raises(AuditError):
        log.verify(head.hash)


@pytest.mark.parametrize("missing", range(4))
def test_no_entry_can_be_taken_out_or_moved(tmp_path, missing):
    path = tmp_path / "audit.jsonl"
    log = filled(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:missing] + lines[missing + 1 :]))
    with pytest.raises(AuditError, match=f":{missing + 1}"):
        log.verify()
    lines[missing], lines[missing + 1] = lines[missing + 1], lines[missing]
    path.write_bytes(b"".join(lines))
    with pytest.raises(AuditError):
        log.verify()


def test_an_end_that_was_cut_off_is_seen_by_who_noted_the_head(tmp_path, capsys):
    path = tmp_path / "audit.jsonl"
    log = filled(path)
    head = log.verify()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert log.verify().n == 4
    with pytest.raises(AuditError, match="cut off"):
        log.verify(head.hash)
    assert main(["audit", "verify", str(path)]) == 0
    assert main(["audit", "verify", str(path), "--head", head.hash]) == 1
    assert main(["audit", "verify", str(tmp_path / "none")]) == 2
    assert main(["audit", "list", str(path)]) == 0
    assert "pki.issue identity=source:s0" in capsys.readouterr().out


def test_a_torn_entry_is_replaced_and_the_next_one_says_so(tmp_path):
    path = tmp_path / "audit.jsonl"
    log = filled(path)
    with path.open("ab") as file:
        file.write(b'{"action":"half')
    assert log.verify().n == 5
    assert log.add("pki.revoke").n == 6
    assert [entry.get("torn_bytes") for entry in log.entries()] == [None] * 5 + [15]
    assert log.verify().n == 6


def test_several_write_at_a_time_and_the_chain_holds(tmp_path):
    path = tmp_path / "audit.jsonl"

    def write():
        for _ in range(20):
            AuditLog(path).add_all([("one", {}), ("two", {})])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AuditLog(path).verify().n == 160


def test_what_others_wrote_is_cut_and_stays_one_line(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.add("broker.denied_publish", topic="\n\x00\ud800é" + "x" * 10_000)
    (entry,) = log.entries()
    assert len(entry["topic"]) == 512
    assert len((tmp_path / "audit.jsonl").read_bytes().splitlines()) == 1
    json.dumps(entry)


def test_the_logs_own_keys_are_not_to_be_given(tmp_path):
    with pytest.raises(ValueError, match="own keys"):
        AuditLog(tmp_path / "audit.jsonl").add("x", hash="y")
