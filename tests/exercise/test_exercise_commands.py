"""`record` and `replay` against a real broker."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from exercise.recording import Captured, Header, RecordingWriter, read_recording
from link.client import Subscriber
from link.settings import ClientSettings
from vedette.commands import record, replay
from vedette.local.places import free_port

pytestmark = pytest.mark.broker


def run_command(command, *argv):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args([command.__name__.rpartition(".")[2], *map(str, argv)])
    return args.run(args)


def to(broker):
    return ["--broker", f"127.0.0.1:{broker.port}", "--node", "n"]


class Listener:
    """A subscriber that keeps what came."""

    def __init__(self, port, topics, count):
        self.messages = []
        self._count = count
        self._enough = threading.Event()
        settings = ClientSettings("127.0.0.1", port, "listener")
        self.subscriber = Subscriber(settings, topics, self._take)

    def _take(self, batch):
        self.messages += batch.messages
        self.subscriber.ack(batch.tokens)
        if len(self.messages) >= self._count:
            self._enough.set()

    def __enter__(self):
        self.subscriber.start()
        assert self.subscriber.wait_subscribed(20)
        return self

    def __exit__(self, *_):
        self.subscriber.stop()

    def wait(self):
        assert self._enough.wait(20)
        return self.messages


@pytest.fixture
def reports(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(
        "".join(
            json.dumps({"sensor": "s1", "time": 1000.0 + n / 100, "detections": []}) + "\n"
            for n in range(300)
        )
    )
    return path


def test_replay_shifts_all_by_one_number_and_counts_acks(broker, reports, capsys):
    with Listener(broker.port, ["vedette-exercise/n/sensors/+/reports"], 300) as listener:
        before = time.time_ns()
        assert run_command(replay, reports, *to(broker), "--speed", "0") == 0
        after = time.time_ns()
        messages = listener.wait()
    told = capsys.readouterr().err
    assert "300 of 300 messages acknowledged" in told
    shift = int(re.findall(r"shifted by (\d+) ns", told)[0])
    found = [json.loads(message.payload) for message in messages]
    assert [row["time_ns"] - shift for row in found] == [
        1000 * 10**9 + n * 10**7 for n in range(300)
    ]
    assert before <= found[0]["time_ns"] <= after
    assert all(row["mode"] == "exercise" for row in found)


def test_replay_keeps_the_pace(broker, reports):
    with Listener(broker.port, ["vedette-exercise/n/sensors/+/reports"], 300) as listener:
        begin = time.monotonic()
        assert run_command(replay, reports, *to(broker), "--speed", "5") == 0
        assert time.monotonic() - begin >= 2.99 / 5
        messages = listener.wait()
    span = (messages[-1].received_ns - messages[0].received_ns) / 1e9
    assert span == pytest.approx(2.99 / 5, abs=0.4)


def test_what_nobody_takes_is_told(broker, reports, capsys):
    if broker.lacks:
        pytest.skip("amqtt speaks MQTT 3.1.1: it cannot say that nobody listens")
    assert run_command(replay, reports, *to(broker), "--speed", "0") == 1
    assert "300 had no subscriber" in capsys.readouterr().err


SITE = """
[node]
name = "n"
mode = "{mode}"
data_dir = "data"
[broker]
port = {port}
[database]
dsn = "postgresql://x"
[[sensor]]
id = "other"
position = {{lat = 1.0, lon = 2.0}}
"""


def test_mistakes_are_told_before_anything_is_sent(tmp_path, reports, capsys):
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(mode="live", port=1))
    assert run_command(replay, reports, "--site", site) == 2
    assert "site.toml: node.mode: is 'live'" in capsys.readouterr().err
    site.write_text(SITE.format(mode="exercise", port=1))
    bad = tmp_path / "bad.jsonl"
    bad.write_text("x\n")
    assert run_command(replay, reports, bad, "--site", site) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any("sensor 's1' is not in" in line for line in lines)
    assert any(line.startswith(f"{bad}:1: ") for line in lines)
    assert run_command(replay, reports, "--broker", "127.0.0.1:1") == 2
    assert "--node" in capsys.readouterr().err
    assert run_command(replay, reports, "--broker", "nowhere", "--node", "n") == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_record_writes_what_came_and_leaves_no_session(broker, tmp_path, reports, capsys):
    path = tmp_path / "r.vrec"
    code = (
        "import sys; from vedette.commands import record; import argparse;"
        "p = argparse.ArgumentParser(); record.add_parser(p.add_subparsers());"
        "a = p.parse_args(sys.argv[1:]); sys.exit(a.run(a))"
    )
    arguments = ["record", str(path), *to(broker), "--mode", "exercise"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        assert process.stderr is not None
        assert "recording" in process.stderr.readline()
        assert run_command(replay, reports, *to(broker), "--speed", "0") == 0
        deadline = time.monotonic() + 20
        while len(read_recording(path)[1]) < 300 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "300 messages" in told
    header, messages, torn = read_recording(path)
    assert header.node == "n"
    assert torn == 0
    assert len(messages) == 300
    assert {message.topic for message in messages} == {"vedette-exercise/n/sensors/s1/reports"}
    if not broker.lacks:
        # Nobody is left who would take them: no session has stayed behind.
        assert run_command(replay, reports, *to(broker), "--speed", "0") == 1
        assert "300 had no subscriber" in capsys.readouterr().err


def test_a_recording_plays_again(broker, tmp_path, capsys):
    path = tmp_path / "r.vrec"
    payloads = [b"!AIVDM,1,1,,A,x,0*00", b"\x00\xff"]
    with RecordingWriter(path, Header(1)) as writer:
        writer.write([Captured(5, "vedette/old/sensors/ais/raw", data) for data in payloads])
    with Listener(broker.port, ["vedette-exercise/n/sensors/+/raw"], 2) as listener:
        assert run_command(replay, path, *to(broker)) == 0
        messages = listener.wait()
    assert [message.payload for message in messages] == payloads
    assert {message.topic for message in messages} == {"vedette-exercise/n/sensors/ais/raw"}


def test_record_refuses_to_overwrite_and_names_mistakes(tmp_path, capsys):
    path = tmp_path / "r.vrec"
    path.touch()
    assert run_command(record, path, "--broker", "127.0.0.1:1", "--topic", "a") == 2
    assert f"{path}: File exists" in capsys.readouterr().err
    assert run_command(record, tmp_path / "b", "--broker", "127.0.0.1:1") == 2
    assert "--node or --topic" in capsys.readouterr().err
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(mode="exercise", port=1))
    assert run_command(record, tmp_path / "b", "--site", site, "--sensor", "x") == 2
    assert "'x' is not in" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_broker_that_is_away_is_told_and_leaves_no_file(tmp_path, reports, capsys):
    port = free_port()
    path = tmp_path / "r.vrec"
    for command, arguments in (
        (record, [path, "--topic", "a"]),
        (replay, [reports, "--node", "n"]),
    ):
        assert run_command(command, *arguments, "--broker", f"127.0.0.1:{port}") == 2
        assert f"127.0.0.1:{port}" in capsys.readouterr().err
    assert not path.exists()
