"""A source speaks for its sensor alone, once, and now: what was said before or elsewhere is not."""

import json

import msgspec
import pytest

from adapters.report.encode import encode_arrays
from ingest.routes import wrap
from tests.ingest.samples import NOW_NS, SENSORS, node, reasons, record, said, topic

S = 1_000_000_000


def forms(sensor):
    """One report of a sensor in every form that there is, (leaf, payload)."""
    text = said(sensor, boot="b1", seq=1)
    read = node().process([record(0, topic(sensor), text)]).detections
    (arrays,) = encode_arrays(read, SENSORS)
    return [
        ("reports", text),
        ("reports", msgspec.msgpack.encode(json.loads(text))),
        ("reports", arrays),
        ("raw", text),
        ("framed", wrap("g", 1, NOW_NS, text)),
    ]


@pytest.mark.parametrize("form", range(5))
def test_no_form_lets_one_sensors_topic_speak_for_another(form):
    leaf, payload = forms("camera-1")[form]
    found = node().process([record(1, topic("radar-1", leaf), payload)])
    assert reasons(found) == [(1, -1, "sensor_mismatch")]
    assert found.detections.n_reports == 0
    assert found.quarantined[0].sensor == "radar-1"  # whose topic it was
    own = node().process([record(1, topic("camera-1", leaf), payload)])
    assert own.detections.n_reports == 1


@pytest.mark.parametrize("form", range(5))
def test_what_is_played_again_at_once_is_counted_and_not_taken(form):
    leaf, payload = forms("radar-1")[form]
    ingest = node()
    first = ingest.process([record(1, topic("radar-1", leaf), payload)])
    again = ingest.process([record(2, topic("radar-1", leaf), payload, NOW_NS + S)])
    assert (first.detections.n_reports, again.detections.n_reports) == (1, 0)
    assert again.counts["radar-1"].duplicates == 1


@pytest.mark.parametrize("leaf", ["reports", "raw"])
def test_what_is_played_again_later_is_in_quarantine_whatever_number_it_has(leaf):
    ingest = node()
    for seq, payload in enumerate([said(), said(boot="b1", seq=1), said(boot="b2", seq=9)]):
        late = record(seq, topic("radar-1", leaf), payload, NOW_NS + 61 * S)
        assert reasons(ingest.process([late])) == [(seq, -1, "time_past")]
    assert ingest.counters()["radar-1"]["refused"]["time_past"] == 3


def test_a_clock_that_is_ahead_is_in_quarantine_and_swallows_nothing():
    """A number that came with a wrong time does not keep the same report out for ever."""
    ingest = node()
    ahead = said(boot="b1", seq=7, time_ns=NOW_NS + 3 * S)
    found = ingest.process([record(1, topic("radar-1"), ahead)])
    assert reasons(found) == [(1, -1, "time_future")]
    others = ingest.process([record(2, topic("radar-1"), said(boot="b1", seq=8))])
    assert others.detections.n_reports == 1
