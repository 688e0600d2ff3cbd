"""The local broker: ours, only ours, and what it promises."""

import os
import queue
import socket
from base64 import b64decode
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from model.errors import LinkError
from tests.local.support import alive, python, wait_until
from vedette.local.amqtt_access import read_acl, read_passwords, topic_matches
from vedette.local.broker import BROKER_VARIABLE, LocalBroker, find_mosquitto
from vedette.local.broker_files import (
    MAX_PACKET_BYTES,
    Grant,
    acl_lines,
    password_hash,
    password_lines,
    password_matches,
)
from vedette.local.port_owner import listens

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
BOTH = [pytest.param("mosquitto", marks=needs_mosquitto), "amqtt"]

USERS = {"core": "seçret", "north": "x"}
ACL = {"core": Grant(subscribe=("v/#",)), "north": Grant(publish=("v/north/+/reports",))}


class Client:
    """A paho client whose events come in a queue."""

    def __init__(
        self, broker: LocalBroker, name: str, password: str | None = None, clean: bool = True
    ) -> None:
        self.events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
        if password is not None:
            self.mqtt.username_pw_set(name, password)
        self.mqtt.on_connect = lambda *event: self.events.put(("connect", str(event[3])))
        self.mqtt.on_subscribe = lambda *_: self.events.put(("subscribed", ""))
        self.mqtt.on_message = lambda *event: self.events.put((event[2].topic, event[2].payload))
        self.mqtt.connect(broker.host, broker.port)
        self.mqtt.loop_start()

    def next(self) -> tuple[str, Any]:
        return self.events.get(timeout=10)

    def publish(self, topic, payload):
        self.mqtt.publish(topic, payload, qos=1).wait_for_publish(10)

    def subscribe(self, topic):
        self.mqtt.subscribe(topic, qos=1)
        assert self.next() == ("subscribed", "")


@contextmanager
def connected(broker, name, password=None, clean=True):
    client = Client(broker, name, password, clean)
    try:
        assert client.next() == ("connect", "Success")
        yield client
    finally:
        client.mqtt.disconnect()
        client.mqtt.loop_stop()


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
def test_messages_pass_and_the_port_is_our_childs(prefer, server_folder):
    with LocalBroker(server_folder / "b", prefer=prefer) as broker:
        assert broker.name == prefer
        assert broker.protocol == {"mosquitto": "5", "amqtt": "3.1.1"}[prefer]
        assert broker.version[0].isdigit()
        assert bool(broker.lacks) == (prefer == "amqtt")
        assert broker.pid
        assert listens(broker.pid, broker.port) in (True, None)
        assert listens(os.getpid(), broker.port) is False
        with connected(broker, "reader") as reader, connected(broker, "writer") as writer:
            reader.subscribe("a/#")
            writer.publish("a/b", b"\x00\xff")
            assert reader.next() == ("a/b", b"\x00\xff")
        pid, port = broker.pid, broker.port
    assert not alive(pid)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((broker.host, port), timeout=2)


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
def test_users_need_their_password_and_stay_within_their_grants(prefer, server_folder):
    with LocalBroker(server_folder / "b", prefer=prefer, users=USERS, acl=ACL) as broker:
        for name, password in (("core", "wrong"), ("nobody", "x"), ("anonymous", None)):
            refused = Client(broker, name, password)
            kind, reason = refused.next()
            assert kind == "connect"
            assert reason != "Success"
            refused.mqtt.disconnect()
            refused.mqtt.loop_stop()
        with connected(broker, "core", "seçret") as core, connected(broker, "north", "x") as north:
            core.subscribe("#")
            north.publish("v/south/r/reports", b"not mine")
            north.publish("w/north/r/reports", b"nobody's")
            north.publish("v/north/r/reports", b"mine")
            assert core.next() == ("v/north/r/reports", b"mine")


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
@pytest.mark.parametrize("users", [None, USERS])
def test_an_absent_reader_finds_its_messages(prefer, users, server_folder):
    password = users and users["core"]
    with LocalBroker(server_folder / "b", prefer=prefer, users=users) as broker:
        with connected(broker, "core", password, clean=False) as core:
            core.subscribe("v/#")
        other = users and users["north"]
        with connected(broker, "north", other) as north:
            for index in range(1_500):  # more than Mosquitto's own bound of 1,000
                north.publish("v/1", str(index).encode())
        with connected(broker, "core", password, clean=False) as core:
            missing = set(range(1_500))
            with suppress(queue.Empty):
                while missing:
                    missing.discard(int(core.next()[1]))
    if prefer == "amqtt":
        # It loses what comes while the reader leaves or returns, and says so in its `lacks`. How
        # much that is depends on how busy the machine is.
        missing -= {*range(100), *range(1_000, 1_500)}
    assert not missing


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
def test_what_is_too_long_for_the_node_still_reaches_it(prefer, server_folder):
    payload = bytes(2 << 20)
    assert len(payload) < MAX_PACKET_BYTES
    with (
        LocalBroker(server_folder / "b", prefer=prefer) as broker,
        connected(broker, "reader") as reader,
        connected(broker, "writer") as writer,
    ):
        reader.subscribe("a")
        writer.publish("a", payload)
        assert len(reader.next()[1]) == len(payload)


@needs_mosquitto
@pytest.mark.broker
def test_mosquitto_keeps_queues_over_a_stop_and_the_port_over_a_crash(server_folder):
    broker = LocalBroker(server_folder / "b", prefer="mosquitto")
    with broker:
        port = broker.port
        with connected(broker, "core", clean=False) as core:
            core.subscribe("v/#")
        with connected(broker, "north") as north:
            north.publish("v/1", b"kept")
        broker.stop()
        broker.start()
        assert broker.port == port
        with connected(broker, "core", clean=False) as core:
            assert core.next() == ("v/1", b"kept")
        broker.kill()
        broker.start()
        assert broker.port == port


@needs_mosquitto
@pytest.mark.broker
def test_a_mosquitto_user_cannot_take_anothers_session(server_folder):
    with LocalBroker(server_folder / "b", prefer="mosquitto", users=USERS) as broker:
        with connected(broker, "core", USERS["core"], clean=False) as core:
            core.subscribe("v/#")
        with connected(broker, "north", USERS["north"]) as north:
            north.publish("v/1", b"kept")
        thief = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="core")
        thief.username_pw_set("north", USERS["north"])
        thief.connect(broker.host, broker.port)
        thief.loop_start()
        wait_until(thief.is_connected)
        thief.disconnect()
        thief.loop_stop()
        with connected(broker, "core", USERS["core"], clean=False) as core:
            assert core.next() == ("v/1", b"kept")


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
def test_anothers_port_is_not_taken_for_ours(prefer, server_folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        broker = LocalBroker(server_folder / "b", prefer=prefer, port=other.getsockname()[1])
        with pytest.raises(LinkError, match="in use"):
            broker.start()
        assert broker.pid is None


PARENT = """
import sys, time
from pathlib import Path
from vedette.local.broker import LocalBroker
broker = LocalBroker(Path(sys.argv[1]), prefer=sys.argv[2])
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
def test_it_ends_when_we_are_killed(prefer, server_folder):
    with python(PARENT, str(server_folder / "b"), prefer) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not alive(pid))


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice")
def test_root_runs_mosquitto_as_nobody_or_says_that_it_could_not(server_folder, tmp_path):
    with LocalBroker(server_folder / "b", prefer="mosquitto") as broker:
        assert Path(f"/proc/{broker.pid}").stat().st_uid != 0
        assert broker.lacks == ()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with LocalBroker(closed / "b", prefer="mosquitto", users=USERS) as broker:
        assert Path(f"/proc/{broker.pid}").stat().st_uid == 0
        assert "runs as root" in broker.lacks[0]
        with connected(broker, "core", USERS["core"]):
            pass


def test_the_environment_chooses_the_broker(monkeypatch, tmp_path):
    monkeypatch.setenv(BROKER_VARIABLE, "amqtt")
    assert LocalBroker(tmp_path).name == "amqtt"
    monkeypatch.setenv(BROKER_VARIABLE, "rabbit")
    with pytest.raises(LinkError, match="VEDETTE_BROKER='rabbit'"):
        LocalBroker(tmp_path)
    with pytest.raises(LinkError, match="broker 'rabbit'"):
        LocalBroker(tmp_path, prefer="rabbit")


def test_mosquitto_is_looked_for_where_paths_do_not_lead(monkeypatch, tmp_path):
    hidden = tmp_path / "mosquitto"
    monkeypatch.setattr("vedette.local.broker.SYSTEM_FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("PATH", "")
    assert find_mosquitto() is None
    with pytest.raises(LinkError, match=f"nor in {tmp_path}"):
        LocalBroker(tmp_path, prefer="mosquitto")
    hidden.write_text("#!/bin/sh\necho mosquitto version 9.8.7\nexit 3\n")
    hidden.chmod(0o755)
    assert find_mosquitto() == hidden
    assert LocalBroker(tmp_path, prefer="mosquitto").version == "9.8.7"


def test_a_port_is_known_only_after_the_start(tmp_path):
    with pytest.raises(LinkError, match="not started yet"):
        _ = LocalBroker(tmp_path, prefer="amqtt").port


def test_password_hash_is_that_of_mosquitto_passwd():
    # mosquitto_passwd of Mosquitto 2.0.11, password "secret".
    stored = (
        "$7$101$vqLLS8632mabb3IM$"
        "zPIop8yoRFZbMCJccDxizzDqwalT7fKkSHptrrRjKQelPR7KjVWf4SGvVPJipkXQnsXEgAuyGgnWkgdSSkgl0w=="
    )
    assert password_matches("secret", stored)
    assert not password_matches("Secret", stored)
    assert password_hash("secret", salt=b64decode("vqLLS8632mabb3IM")) == stored


@pytest.mark.parametrize("stored", ["", "secret", "$6$x$y$z", "$7$101$*$*", "$7$x$YQ==$YQ=="])
def test_other_hashes_match_nothing(stored):
    assert not password_matches("secret", stored)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb"])
def test_names_that_cannot_be_written_are_refused(name):
    with pytest.raises(ValueError, match="cannot be written"):
        password_lines({name: "x"})


def test_files_are_read_back_as_they_were_written(tmp_path):
    (tmp_path / "acl").write_text(acl_lines(ACL))
    (tmp_path / "users").write_text(password_lines(USERS))
    assert read_acl(str(tmp_path / "acl")) == ACL
    users = read_passwords(str(tmp_path / "users"))
    assert users is not None
    assert all(password_matches(USERS[name], stored) for name, stored in users.items())


@pytest.mark.parametrize(
    ("topic", "pattern", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/+", True),
        ("a", "a/#", True),
        ("a/b/c", "a/#", True),
        ("a/b/c", "a/+", False),
        ("a", "a/+", False),
        ("$SYS/x", "#", False),
        ("$SYS/x", "$SYS/#", True),
        ("b", "a", False),
    ],
)
def test_topics_fall_under_filters_as_the_standard_says(topic, pattern, matches):
    assert topic_matches(topic, pattern) is matches
