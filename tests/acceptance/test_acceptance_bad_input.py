"""Everything bad at once, over the broker, into a running node: refused, counted, kept."""

import json
import time

import pytest

from adapters.mavlink.encode import global_position_int
from exercise.pacing import Outcome
from link.publisher import Publisher
from link.settings import ClientSettings
from storage.history import History
from tests.acceptance.recorded import NODE, RecordedNode
from tests.node.site import until
from vedette.local.process import Child
from vedette.sitefile import write_site

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database]

ROOT = f"vedette-exercise/{NODE}/sensors"
SENSORS = [
    {"id": "radar", "position": {"lat": 59.4, "lon": 24.7, "alt_m": 30.0}},
    {"id": "ais", "adapter": "ais", "sensing": "event", "cooperative": True},
    {"id": "uav", "adapter": "mavlink", "sensing": "event", "cooperative": True},
]


def said(seq, **changes):
    """A report of one detection, with changes."""
    report = {
        "sensor": "radar",
        "time_ns": time.time_ns(),
        "boot": "b",
        "seq": seq,
        "detections": [{"kind": "position", "lat": 59.41, "lon": 24.71, "sigma_m": 10.0}],
    }
    return json.dumps(report | changes).encode()


def placed(seq, **changes):
    place = {"kind": "position", "lat": 59.41, "lon": 24.71, "sigma_m": 10.0} | changes
    return said(seq, detections=[place])


def frame():
    return global_position_int(1000, 59.41, 24.71, 50.0, system=1, sequence=0)


def bad():
    """(topic, payload, reason) of everything that must be refused."""
    radar = f"{ROOT}/radar/reports"
    now = time.time_ns()
    broken = bytearray(frame())
    broken[-1] ^= 0xFF
    return [
        (radar, b"not json at all", "not_json"),
        (radar, b'{"sensor":"radar","time_ns":1,"detections":[{"kind":"position","lat":NaN}]}', ""),
        (radar, placed(1, lat=1e999).replace(b"Infinity", b"1e999"), ""),
        (radar, placed(2, lat=91.0), "out_of_range"),
        (radar, said(3, time_ns=1000), "time_past"),
        (radar, said(4, time_ns=now + 86_400_000_000_000), "time_future"),
        (radar, b"x" * 10_000_000, "oversize"),
        (f"{ROOT}/nobody/reports", said(5, sensor="nobody"), "unknown_sensor"),
        (radar, said(6, sensor="other"), "sensor_mismatch"),
        (f"{ROOT}/ais/raw", b"!AIVDM,1,1,,A,15NJ?P000", ""),
        (f"{ROOT}/uav/raw", bytes(broken), "bad_checksum"),
    ]


class PlainNode(RecordedNode):
    """With the limits of a site that gives none."""

    def __init__(self, folder, broker, dsn) -> None:
        self.folder, self.dsn = folder, dsn
        self.site, self.log = folder / "site.toml", folder / "node.log"
        address = {"host": broker.host, "port": broker.port, "protocol": broker.protocol}
        write_site(
            self.site,
            {
                "node": {"name": NODE, "mode": "exercise", "data_dir": "data"},
                "broker": address,
                "database": {"dsn": dsn},
                "serve": {"port": 0},
                "sensor": SENSORS,
            },
        )
        self.child = Child.python("node", "vedette", ["run", str(self.site)], log=self.log)


def quarantined(node) -> dict[str, int]:
    return dict(node.status()["core"]["quarantine"])


def test_everything_bad_is_refused_with_its_reason_and_the_node_goes_on(
    tmp_path, broker, database
) -> None:
    node = PlainNode(tmp_path, broker, database)
    try:
        node.wait_up()
        source = Publisher(
            ClientSettings(broker.host, broker.port, "bad", protocol=broker.protocol)
        )
        source.start()
        messages = bad()
        outcome: Outcome = source.publish_all((topic, payload) for topic, payload, _ in messages)
        assert outcome.stored == len(messages)
        until(lambda: History(database, NODE).counts()["quarantine"] >= len(messages), 60.0)
        good = [(f"{ROOT}/radar/reports", said(number)) for number in range(100, 106)]
        for message in good:
            assert source.publish_all([message]).stored == 1
        assert source.stop()
        until(lambda: History(database, NODE).counts()["reports"] == len(good), 60.0, node.lines)
        # The status is a second behind the database.
        until(lambda: sum(quarantined(node).values()) >= len(messages), 10.0, node.lines)
        counts = quarantined(node)
        assert sum(counts.values()) == len(messages), counts
        for _, _, reason in messages:
            assert not reason or counts[reason] >= 1, (reason, counts)
        assert "died" not in node.lines()
        metrics = node.metrics()
        assert 'vedette_core_quarantined_total{reason="oversize"} 1.0' in metrics
    finally:
        node.child.terminate(10.0)
