"""Shifting times in payloads, and files as messages that are due."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mavlink import encode
from adapters.registry import load
from adapters.state import BoundedState
from exercise import tlog
from exercise.pacing import Clock, paced, publish
from exercise.recording import Captured, Header, RecordingWriter
from exercise.replaying import Due, Target, nmea_time, open_source, strangers
from exercise.shifting import Change, shift_framed, shift_report_line, shift_reports
from link.publisher import Published
from model.errors import InputFileError, LinkError
from model.ports import Messages
from model.sensors import Sensor, Sensors

S = 1_000_000_000
SHIFT = 86_400 * S + 123_456_789
TARGET = Target("vedette-exercise/n", "s1")


def test_golden_json():
    line = (
        b'{"sensor":"r","time":1772366400.25,"boot":"a1","seq":42,"mode":"live","x":1e3,'
        b'"detections":[{"kind":"polar","range_m":10.0,"time":1772366400},{"kind":"line"}]}'
    )
    shifted = shift_reports(line, Change(5))
    assert shifted.payload == (
        b'{"sensor":"r","time_ns":1772366400250000005,"boot":"a1","seq":42,"mode":"exercise",'
        b'"x":1e3,"detections":[{"kind":"polar","range_m":10.0,"time_ns":1772366400000000005},'
        b'{"kind":"line"}]}'
    )
    assert shifted.times == (1_772_366_400_250_000_000,)
    assert shifted.sensor == "r"


def test_every_form_of_time_is_exact():
    for text, time_ns in (
        ('"time":1772366400.123456', 1_772_366_400_123_456_000),
        ('"time":"2026-03-01T12:00:00.5Z"', 1_772_366_400_500_000_000),
        ('"time_ns":1772366400123456789', 1_772_366_400_123_456_789),
        ('"time":1.0,"time_ns":1772366400123456789', 1_772_366_400_123_456_789),
        ('"time":null,"time_ns":7', 7),
    ):
        shifted = shift_report_line(f'{{"sensor":"r",{text},"detections":[]}}'.encode(), Change(-3))
        found = json.loads(shifted.payload)
        assert found == {
            "sensor": "r",
            "time_ns": time_ns - 3,
            "detections": [],
            "mode": "exercise",
        }


def test_lines_in_one_payload_and_msgpack():
    report = {"sensor": "r", "time": 1.5, "detections": [{"kind": "bearing", "time_ns": 9}]}
    two = b"\n".join([msgspec.json.encode(report)] * 2) + b"\n"
    shifted = shift_reports(two, Change(SHIFT))
    assert [json.loads(line)["time_ns"] for line in shifted.payload.split(b"\n")] == [
        1_500_000_000 + SHIFT
    ] * 2
    packed = msgspec.msgpack.decode(
        shift_reports(msgspec.msgpack.encode(report), Change(1)).payload
    )
    assert packed == {
        "sensor": "r",
        "time_ns": 1_500_000_001,
        "detections": [{"kind": "bearing", "time_ns": 10}],
        "mode": "exercise",
    }


def test_arrays():
    message = {
        "arrays": 1,
        "sensor": "r",
        "mode": "live",
        "reports": {"time_ns": np.array([5, 9], "<i8").tobytes(), "seq": b"\1" * 16},
        "detections": {"kind": b"\1", "time_ns": np.array([-1], "<i8").tobytes()},
    }
    shifted = shift_reports(msgspec.msgpack.encode(message), Change(SHIFT))
    assert shifted.times == (5, 9)
    found = msgspec.msgpack.decode(shifted.payload)
    assert next(iter(found)) == "arrays"  # the adapter looks for it in front
    assert np.frombuffer(found["reports"].pop("time_ns"), "<i8").tolist() == [5 + SHIFT, 9 + SHIFT]
    assert found["mode"] == "exercise"
    assert found["reports"] == {"seq": b"\1" * 16}
    assert found["detections"] == message["detections"]


def test_frames_and_boots():
    frame = msgspec.msgpack.encode(["boot", 3, 1000, b"\x00x"])
    assert msgspec.msgpack.decode(shift_framed(frame, Change(7, boot_suffix="~1")).payload) == [
        "boot~1", 3, 1007, b"\x00x",
    ]  # fmt: skip
    long = b'{"sensor":"r","time_ns":1,"boot":"012345678901234567890123","detections":[]}'
    found = json.loads(shift_reports(long, Change(0, boot_suffix="~12")).payload)
    assert found["boot"] == "012345678901234567890~12"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
extra = st.dictionaries(st.text(min_size=1, max_size=6), values, max_size=4)
RESERVED = {"sensor", "time", "time_ns", "mode", "boot", "detections"}


@given(extra, st.lists(extra, max_size=3), st.integers(0, 2 * 10**18), st.integers(0, 10**18))
@settings(max_examples=200, deadline=None)
def test_everything_else_stays_as_it_was(head, items, time_ns, shift_ns):
    report = {key: value for key, value in head.items() if key not in RESERVED}
    report |= {"sensor": "r", "time_ns": time_ns, "boot": "b"}
    report["detections"] = [
        {key: value for key, value in item.items() if key not in {"time", "time_ns"}}
        for item in items
    ]
    for write, read in (
        (msgspec.json.encode, json.loads),
        (msgspec.msgpack.encode, msgspec.msgpack.decode),
    ):
        shifted = shift_reports(write(report), Change(shift_ns))
        found = read(shifted.payload)
        expected = {**read(write(report)), "time_ns": time_ns + shift_ns, "mode": "exercise"}
        assert found == expected
        assert list(found)[: len(report)] == list(report)


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_bytes_that_cannot_be_read_stay_as_they_were(data):
    for payload in (data, b"{" + data, b"\x86\xa6arrays" + data):
        shifted = shift_reports(payload, Change(1))
        if not shifted.times:
            assert shifted.payload == payload
        assert not shift_framed(payload, Change(1)).sensor


def test_reports_file(tmp_path):
    path = tmp_path / "r.jsonl"
    rows = [("a", 10.0), ("b", 10.5), ("a", 10.2), ("c", 12.0)]
    path.write_text(
        "\n".join(json.dumps({"sensor": s, "time": t, "detections": []}) for s, t in rows)
    )
    source = open_source(path, Target("vedette-exercise/n"))
    summary = source.survey(Target("vedette-exercise/n"))
    assert (summary.messages, summary.anchor_ns) == (4, 10 * S)
    assert (summary.first_ns, summary.last_ns) == (10 * S, 12 * S)
    assert strangers(summary, ["a", "c"]) == ["b"]
    played = list(source.play(Target("vedette-exercise/n"), Change(SHIFT)))
    # A report arrives no earlier than the newest one before it.
    assert [(due.due_ns - SHIFT) / 1e9 for due in played] == [10.0, 10.5, 10.5, 12.0]
    assert played[1].topic == "vedette-exercise/n/sensors/b/reports"
    times = [json.loads(due.payload)["time_ns"] - SHIFT for due in played]
    assert times == [round(t * 1e9) for _, t in rows]
    only = Target("vedette-exercise/n", only=frozenset({"a"}))
    assert source.survey(only).messages == 2
    assert source.summary.skipped == 2


def test_every_bad_line_of_a_reports_file_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"sensor":"a","time":1,"detections":[]}\n[]\n{"sensor":"a"}\n{"time":1}\n')
    with pytest.raises(InputFileError) as caught:
        open_source(path, TARGET).survey(Target("x/n"))
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "3", "4"]
    assert "time is missing" in lines[1]
    assert "sensor is missing" in lines[2]


def test_files_of_no_kind_and_without_a_sensor(tmp_path):
    for name, match in (("x.bin", "neither"), ("x.nmea", "--sensor"), ("x.tlog", "--sensor")):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputFileError, match=match):
            open_source(tmp_path / name, Target("x/n"))
    with pytest.raises(InputFileError, match="No such file"):
        open_source(tmp_path / "none.jsonl", TARGET)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputFileError, match="nothing to play"):
        open_source(tmp_path / "empty.jsonl", TARGET).survey(TARGET)


def test_recording(tmp_path):
    path = tmp_path / "r.vrec"
    report = b'{"sensor":"a","time_ns":900,"detections":[]}'
    with RecordingWriter(path, Header(1)) as writer:
        writer.write(
            [
                Captured(1000, "vedette/old/sensors/a/reports", report),
                Captured(1500, "vedette/old/sensors/b/raw", b"\xff"),
                Captured(1400, "vedette-exercise/old/sensors/a/reports", b"rubbish"),
                Captured(1600, "vedette/old/commands", b"{}"),
                Captured(1700, "farm/x", b"native"),
            ]
        )
    with path.open("ab") as file:
        file.write(b"\1\2\3")
    source = open_source(path, TARGET)
    summary = source.survey(TARGET)
    assert (summary.messages, summary.skipped, summary.unread, summary.torn_bytes) == (4, 1, 1, 3)
    assert summary.anchor_ns == 900
    played = list(source.play(TARGET, Change(SHIFT)))
    assert [due.due_ns - SHIFT for due in played] == [1000, 1500, 1500, 1700]
    base = "vedette-exercise/n/sensors"
    assert [due.topic for due in played] == [
        f"{base}/a/reports", f"{base}/b/raw", f"{base}/a/reports", f"{base}/s1/raw",
    ]  # fmt: skip
    assert json.loads(played[0].payload)["time_ns"] == 900 + SHIFT
    assert [due.payload for due in played[1:]] == [b"\xff", b"rubbish", b"native"]


def test_nmea_times_pace_but_stay(tmp_path):
    assert nmea_time(b"\\s:x,c:1609459200*00\\!AIVDM,1,1,,A,x,0*00") == 1_609_459_200 * S
    assert nmea_time(b"\\c:1609459200123*00\\!AIVDM") == 1_609_459_200_123_000_000
    assert nmea_time(b"!AIVDM,1,1,,A,403,0*28,d-109,r003,1325394060") == 1_325_394_060 * S
    assert nmea_time(b"!AIVDM,1,1,,A,403,0*28") is None
    path = tmp_path / "x.nmea"
    stamped = [b"!A*00,1325394060", b"!B*00", b"# remark", b"!C*00,1325394065"]
    path.write_bytes(b"\r\n".join(stamped))
    source = open_source(path, TARGET)
    assert source.survey(TARGET).messages == 4
    played = list(source.play(TARGET, Change(5)))
    assert [due.payload for due in played] == stamped
    assert [due.due_ns - 5 for due in played] == [1_325_394_060 * S] * 3 + [1_325_394_065 * S]
    path.write_bytes(b"!A*00\n!B*00\n!C*00\n")
    gaps = np.diff([due.due_ns for due in source.play(TARGET, Change())])
    assert gaps.tolist() == [S // 10] * 2


V1 = bytes([0xFE, 2, 0, 1, 1, 0]) + b"ab" + b"\0\0"
V2 = bytes([0xFD, 1, 0, 0, 0, 1, 1, 0, 0, 0]) + b"a" + b"\0\0"
SIGNED = bytes([0xFD, 1, 1, 0, 0, 1, 1, 0, 0, 0]) + b"a" + b"\0\0" + bytes(13)


def test_tlog_records_are_split_and_joined():
    records = [tlog.Stamped(1_000_000 + i * 60_000, f) for i, f in enumerate([V1, V2, SIGNED, V1])]
    data = tlog.join(records)
    assert data[:8] == (1_000_000).to_bytes(8, "big")
    assert tlog.split(data) == (records, 0)
    assert tlog.split(b"rubbish" + data + V1[:4]) == (records, 11)
    assert [len(run) for run in tlog.chunks(records)] == [2, 2]
    moved, _ = tlog.split(tlog.join(records, 7))
    assert [record.time_us - 7 for record in moved] == [record.time_us for record in records]


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_tlog_of_any_bytes(data):
    records, skipped = tlog.split(data)
    assert len(tlog.join(records)) + skipped == len(data)
    assert tlog.moved(data, 5) == data or not skipped
    assert tlog.moved(b"!AIVDM,1,1,,A,x,0*00" + data, 5)[20:] == data


@pytest.mark.parametrize("version", [1, 2])
def test_the_clock_of_a_vehicle_moves_and_nothing_else(version):
    unix_ns = 1_772_366_400_000_001_000
    clock = encode.system_time(unix_ns, 5000, system=7, sequence=9, version=version)
    unknown = encode.system_time(0, 5000, system=7, sequence=9, version=version)
    fix = encode.global_position_int(5000, 10.0, 20.0, 5.0, system=7, version=version)
    wanted = encode.system_time(unix_ns + 86_400 * S, 5000, system=7, sequence=9, version=version)
    stream = b"rest" + fix + clock + unknown + fix[:9]
    assert tlog.moved(stream, 86_400_000_000) == stream.replace(clock, wanted)
    broken = clock[:-1] + bytes([clock[-1] ^ 1])
    assert tlog.moved(broken, 86_400_000_000) == broken
    frame = msgspec.msgpack.encode(["b", 1, 1000, clock])
    shifted = msgspec.msgpack.decode(shift_framed(frame, Change(86_400 * S)).payload)
    assert shifted == ["b", 1, 1000 + 86_400 * S, wanted]
    log = tlog.join([tlog.Stamped(1_772_366_400_000_000, clock)])
    assert tlog.moved(log, 86_400_000_000) == tlog.join(
        [tlog.Stamped(1_772_452_800_000_000, wanted)]
    )


def decoded_times(dues, shift_ns):
    """Times of the positions that the real adapter makes of a played log."""
    sensors = Sensors([Sensor("s1", adapter="mavlink", options={"framing": "tlog"})])
    messages = Messages(
        offset=np.arange(len(dues)),
        received=np.array([due.due_ns for due in dues]),
        sensor=np.zeros(len(dues), dtype=np.int32),
        payload=[due.payload for due in dues],
        boot=np.zeros(len(dues), dtype="S24"),
        seq=np.full(len(dues), -1),
    )
    decoded = load("mavlink").decode(messages, sensors, BoundedState())
    return decoded.detections.detection_time - shift_ns, decoded.detections.position


def test_a_recorded_flight_decodes_the_same_but_for_the_shift(test_data):
    source = open_source(test_data / "mavlink" / "flight.tlog", TARGET)
    shift_ns = 345_678_901 * S + 5_000
    before, places = decoded_times(list(source.play(TARGET, Change())), 0)
    after, same_places = decoded_times(list(source.play(TARGET, Change(shift_ns))), shift_ns)
    assert len(before) > 2_800
    assert np.array_equal(before, after)
    assert np.array_equal(places, same_places, equal_nan=True)


def test_recorded_log_is_played_whole(test_data):
    path = test_data / "mavlink" / "flight.tlog"
    source = open_source(path, TARGET)
    summary = source.survey(TARGET)
    data = path.read_bytes()
    played = list(source.play(TARGET, Change()))
    joined = b"".join(due.payload for due in played)
    assert len(joined) == len(data) - summary.torn_bytes
    assert data.startswith(joined)
    assert summary.torn_bytes < 300
    shifted = next(source.play(TARGET, Change(1_500)))  # whole microseconds only
    before = int.from_bytes(played[0].payload[:8], "big")
    assert int.from_bytes(shifted.payload[:8], "big") == before + 1


def test_recorded_reports_keep_all_but_their_times(test_data):
    path = test_data / "autoferry" / "scenario13" / "reports.jsonl"
    source = open_source(path, Target("vedette-exercise/n"))
    played = list(source.play(Target("vedette-exercise/n"), Change(SHIFT)))
    lines = path.read_bytes().splitlines()
    assert len(played) == len(lines)
    for due, line in zip(played, lines, strict=True):
        before, after = json.loads(line), json.loads(due.payload)
        assert after.pop("mode") == "exercise"
        shifted = after.pop("time_ns") - SHIFT
        assert shifted == math.floor(before["time"]) * S + round(before["time"] % 1 * 1e6) * 1000
        del before["time"]
        before.pop("mode", None)
        assert after == before


class Handle:
    """Time that passes only in sleep."""

    def __init__(self):
        self.now = 100

    def clock(self):
        return Clock(lambda: self.now, self.sleep)

    def sleep(self, seconds):
        assert seconds > 0
        self.now += round(seconds * S)


@pytest.mark.parametrize(("speed", "total"), [(1.0, 2.0), (4.0, 0.5), (0.0, 0.0)])
def test_pace(speed, total):
    handle = Handle()
    dues = [Due(7 + t, "t", b"") for t in (0, S // 2, S // 2, 2 * S)]
    seen = [handle.now for _ in paced(dues, handle.clock(), speed)]
    assert (seen[-1] - 100) / S == pytest.approx(total, abs=1e-6)
    assert seen == sorted(seen)


def test_pace_from_a_given_moment_on():
    handle = Handle()
    dues = [Due(7 + t, "t", b"") for t in (S, 2 * S)]
    # At 50 by the clock it was 7; that is 50 ns ago. So the first is not at once, nor on its own.
    assert [handle.now for _ in paced(dues, handle.clock(), 1.0, (7, 50))] == [50 + S, 50 + 2 * S]
    handle.now = 50 + 5 * S
    late = [handle.now for _ in paced(dues, handle.clock(), 1.0, (7, 50))]
    assert late == [50 + 5 * S] * 2


class Broker:
    """A sender that is away now and then; keeps what it was given, as `Publisher` does."""

    def __init__(self, away):
        self.away = away
        self.held = []
        self.got = []
        self.failed: BaseException | None = None
        self.counts = Published()

    def publish(self, topic: str, payload: bytes) -> None:
        self.held.append((topic, payload))
        self.flush()

    def flush(self) -> Published:
        if self.away:
            self.away -= 1
            raise LinkError("away")
        self.got += self.held
        self.held = []
        self.counts = Published(sent=len(self.got), stored=len(self.got))
        return self.counts


def test_nothing_is_lost_while_the_broker_is_away():
    troubles: list[LinkError] = []
    broker = Broker(away=3)
    dues = [Due(0, f"t{n}", b"") for n in range(5)]
    assert publish(dues, broker, on_trouble=troubles.append).stored == 5
    assert broker.got == [(f"t{n}", b"") for n in range(5)]
    assert len(troubles) == 3
    broker = Broker(away=1)
    broker.failed = RuntimeError("ended")
    with pytest.raises(LinkError):
        publish(dues, broker)
