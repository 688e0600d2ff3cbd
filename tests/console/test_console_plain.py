"""Tracks as people's programs get them."""

import numpy as np

from console.plain import track_objects
from console.source import ForeignTracks, Giver
from model.tracks import TrackUpdates
from tests.console.test_console_feed import one_track


def test_a_track_in_degrees_iso_times_and_names():
    track = track_objects(one_track(), ("s0", "s1", "fence", "s3"), "north")[0]
    assert abs(track.pop("lat") - 59.4) < 1e-12
    assert abs(track.pop("lon") + 28.2) < 1e-12
    assert abs(track.pop("course_deg") - 153.43494882) < 1e-6
    assert abs(track.pop("speed_mps") - 5**0.5) < 1e-12
    assert track == {
        "node": "north",
        "given": None,
        "id": "72623859790382856",
        "number": "K4711",
        "status": "coasting",
        "reason": "missed",
        "valid": "2026-03-01T12:00:00.000000Z",
        "known": "1970-01-01T00:00:00.000000Z",
        "stale": "2026-03-01T12:00:04.000000Z",
        "known_offset": -1,
        "n": 0,
        "revision": 9,
        "authority_epoch": 0,
        "alt_m": 35.0,
        "east_mps": 1.0,
        "north_mps": -2.0,
        "up_mps": None,
        "covariance_m2": [0.0, 1.0, 6.0, 2.0, 7.0, 11.0],
        "existence": 0.5,
        "class": {"uav": 0.75},
        "affiliation": "friend",
        "identity": {"remote_id": "1581F4"},
        "sensors": ["#7", "fence", "#300"],
        "mode": "exercise",
    }


def test_what_was_never_measured_is_none():
    updates = TrackUpdates.empty(1)
    updates.track_id[:] = 1
    track = track_objects(updates, (), "north")[0]
    for key in ("lat", "lon", "alt_m", "east_mps", "speed_mps", "course_deg", "existence"):
        assert track[key] is None, key
    assert track["stale"] is None
    assert track["identity"] is None
    assert track["covariance_m2"] == [None] * 6
    assert track["class"] == {}


def test_a_foreign_track_says_who_gave_it_how_and_when():
    sent = np.array([1_772_366_400_500_000_000])
    giver = Giver("south", "n-s/1", ("south", "relay"))
    given = ForeignTracks(giver, one_track(), sent + 250_000_000, sent)
    track = track_objects(given.updates, ("s0",) * 9, "north", given)[0]
    assert track["node"] == "south"
    assert track["sensors"] == []
    assert track["given"] == {
        "agreement": "n-s/1",
        "path": ["south", "relay"],
        "sent": "2026-03-01T12:00:00.500000Z",
        "received": "2026-03-01T12:00:00.750000Z",
    }
    untold = ForeignTracks(Giver("south"), one_track(), np.zeros(1, np.int64))
    given_how = track_objects(untold.updates, (), "north", untold)[0]["given"]
    assert (given_how["sent"], given_how["received"]) == (None, None)


def test_who_stands_still_has_no_course():
    updates = one_track()
    updates.state[0, 3:5] = 0.0
    track = track_objects(updates, (), "north")[0]
    assert track["course_deg"] is None
    assert track["speed_mps"] == 0.0


def test_a_track_for_each_row():
    assert track_objects(TrackUpdates.empty(), (), "north") == []
    many = one_track().take(np.zeros(5, np.int64))
    assert len(track_objects(many, (), "north")) == 5
