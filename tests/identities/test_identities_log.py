"""From lines of the broker's log to refusals, and following the file."""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from link.prober import Prober
from link.settings import ClientSettings
from vedette.audit import AuditLog
from vedette.broker import refusals
from vedette.broker.refusals import Follower, Judge, Refusal, parse
from vedette.local.broker_files import Grant

STAMP = "2026-11-30T00:04:45: "
DENIED = (
    "Denied PUBLISH from source:gateway-a (d0, q1, r0, m2, 'vedette/north/commands', ... (1 bytes))"
)
FAILED = (
    "Client connection from 10.0.0.7 failed: "
    "error:0A000086:SSL routines::certificate verify failed."
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (DENIED, Refusal("broker.denied_publish", "source:gateway-a", "vedette/north/commands")),
        ("source:a 1 vedette/#", Refusal("broker.subscribed", "source:a", "vedette/#")),
        ("source:a 0 a b 'c'", Refusal("broker.subscribed", "source:a", "a b 'c'")),
        (
            "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed",
            Refusal("broker.refused_tls", "", "", "certificate verify failed"),
        ),
        (
            "OpenSSL Error[0]: error:0A0000C7:SSL routines::peer did not return a certificate",
            Refusal("broker.refused_tls", "", "", "peer did not return a certificate"),
        ),
        (
            FAILED,
            Refusal("broker.refused_tls", "10.0.0.7", "", "certificate verify failed"),
        ),
        (
            "Client source:a disconnected, not authorised.",
            Refusal("broker.refused_client", "source:a", "", "not authorised"),
        ),
        (
            "Client source:a disconnected due to oversize packet.",
            Refusal("broker.refused_client", "source:a", "", "oversize packet"),
        ),
        ("OpenSSL Error[0]: error:0A000126:SSL routines::unexpected eof while reading", None),
        ("Client source:a disconnected.", None),
        ("New client connected from 127.0.0.1:1 as source:a (p2, c1, k10, u'source:a').", None),
        ("Sending PUBACK to source:a (m1, rc16)", None),
        ("\tvedette/# (QoS 1)", None),
        ("mosquitto version 2.0.11 running", None),
        ("", None),
    ],
)
def test_lines(line, expected):
    assert parse(line) == parse(STAMP + line) == expected


@given(st.text())
def test_any_line_is_a_refusal_or_none(line):
    assert parse(line) is None or isinstance(parse(line), Refusal)


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
topics = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


@given(name=names, topic=topics)
def test_a_topic_cannot_make_another_line_of_itself(name, topic):
    """Whatever a topic is, the refusal names its sender, and the topic itself."""
    line = f"{STAMP}Denied PUBLISH from source:{name} (d0, q1, r0, m2, '{topic}', ... (1 bytes))"
    assert parse(line) == Refusal("broker.denied_publish", f"source:{name}", topic)
    assert parse(f"{STAMP}source:{name} 2 {topic}") == Refusal(
        "broker.subscribed", f"source:{name}", topic
    )


def follower(folder) -> Follower:
    (folder / "data").mkdir(exist_ok=True)
    judge = Judge({"source:a": Grant((), ("vedette/north/receipts/a",))})
    return Follower(folder / "broker.log", AuditLog(folder / "data" / "audit.jsonl"), judge)


def audited(folder) -> list[tuple[str, str, int]]:
    log = AuditLog(folder / "data" / "audit.jsonl")
    log.verify()
    return [(e["action"], e.get("topic", ""), e["count"]) for e in log.entries()]


def test_only_subscriptions_beyond_the_grants_are_refusals(tmp_path):
    lines = ["vedette/north/receipts/a", "$share/g/vedette/north/receipts/a", "#"]
    text = "".join(f"{STAMP}source:a 1 {line}\n" for line in lines)
    (tmp_path / "broker.log").write_text(text)
    one = follower(tmp_path)
    one.look()
    assert audited(tmp_path) == [("broker.denied_subscribe", "#", 1)]
    assert one.refused == 1


def test_equal_ones_are_one_entry_and_of_too_many_only_the_number(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "DISTINCT", 2)
    topics = ["a", "a", "a", "b", "b", "c", "d"]
    with (tmp_path / "broker.log").open("w") as file:
        for topic in topics:
            file.write(DENIED.replace("vedette/north/commands", topic) + "\n")
    follower(tmp_path).look()
    assert audited(tmp_path) == [
        ("broker.denied_publish", "a", 3),
        ("broker.denied_publish", "b", 2),
        ("broker.more_refusals", "", 2),
    ]


def test_it_goes_on_where_it_was_after_a_restart_and_over_a_rotation(tmp_path):
    log = tmp_path / "broker.log"
    log.write_text(f"{DENIED}\n{DENIED[:20]}")
    follower(tmp_path).look()
    assert [count for *_, count in audited(tmp_path)] == [1]
    with log.open("a") as file:
        file.write(f"{DENIED[20:]}\n")
    follower(tmp_path).look()
    assert [count for *_, count in audited(tmp_path)] == [1, 1]
    follower(tmp_path).look()
    log.rename(tmp_path / "broker.log.1")
    log.write_text(f"{DENIED}\n{DENIED}\n")
    follower(tmp_path).look()
    assert [count for *_, count in audited(tmp_path)] == [1, 1, 2]


def test_a_long_log_is_emptied_once_it_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "KEEP_BYTES", 100)
    log = tmp_path / "broker.log"
    broker = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(broker, f"{DENIED}\n{DENIED}\n".encode())
    one = follower(tmp_path)
    one.look()
    assert log.stat().st_size == 0
    os.write(broker, f"{DENIED}\n".encode())
    os.close(broker)
    one.look()
    assert [count for *_, count in audited(tmp_path)] == [2, 1]


def test_the_folder_of_the_node_is_not_made_and_nothing_is_missed(tmp_path):
    (tmp_path / "broker.log").write_text(f"{DENIED}\n")
    one = follower(tmp_path)
    (tmp_path / "data").rmdir()
    assert one.look() == 0
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    assert one.look()
    assert one.refused == 1


def test_no_log_is_a_problem_that_is_said_and_passes(tmp_path):
    one = follower(tmp_path)
    one.start()
    one.stop()
    assert "No such file" in one.problem
    assert one.refused == 0


@pytest.mark.broker
@pytest.mark.parametrize(
    "broker",
    [
        {
            "prefer": "mosquitto",
            "users": {"core": "x", "sensors": "y"},
            "acl": {"core": Grant(("a",), ("b",)), "sensors": Grant(("b",), ())},
            "log_refusals": True,
        }
    ],
    indirect=True,
)
def test_refusals_of_users_with_passwords_are_audited_too(broker, tmp_path):
    judge = Judge({"core": Grant(("a",), ("b",)), "sensors": Grant(("b",), ())})
    (tmp_path / "data").mkdir()
    one = Follower(broker.log, AuditLog(tmp_path / "data" / "audit.jsonl"), judge)
    who: dict[str, Any] = {"username": "sensors", "password": "y"}
    sensors = Prober(ClientSettings(broker.host, broker.port, "x", protocol="5", **who))
    sensors.connect(60.0)
    sensors.publish("b", b"may")
    sensors.publish("a", b"may not")
    sensors.subscribe(["a"])
    assert sensors.stop()
    one.look()
    assert set(audited(tmp_path)) >= {
        ("broker.denied_publish", "a", 1),
        ("broker.denied_subscribe", "a", 1),
    }
    assert ("broker.denied_publish", "b", 1) not in audited(tmp_path)
