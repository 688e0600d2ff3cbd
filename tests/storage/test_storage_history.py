"""Questions: as shown then, as known now, and what is deleted with age."""

from datetime import timedelta

import psycopg
import pytest

from model.detections import DetectionsBuilder
from model.errors import Quarantined, Reason
from model.tracks import TrackUpdates, UpdateReason
from storage.history import History
from storage.retention import Policy, expire
from storage.writer import Writer
from tests.storage import batches as b

pytestmark = pytest.mark.database

SECOND = 10**9


@pytest.fixture
def store(migrated_database):
    """Writes updates one after another and answers."""
    with Writer(migrated_database, "north") as writer:
        history = History(migrated_database, "north", b.SENSORS)

        def write(updates):
            writer.write([b.batch_of(updates)], writer.cursor() + 1)
            return history

        yield write


def corrected() -> TrackUpdates:
    """Three updates, then a late report corrects the second and third."""
    late = b.updates_of(2, offset=3, revision=4, valid=b.NOW_NS + SECOND, existence=0.9)
    late.reason[:] = UpdateReason.CORRECTED
    late.known[:] = b.NOW_NS + 4 * SECOND
    return TrackUpdates.concat([b.updates_of(3, existence=0.5), late])


def test_as_shown_then(store):
    history = store(corrected())
    shown = history.track_history(1, as_shown_at=b.NOW_NS + 3 * SECOND)
    assert shown.revision.tolist() == [1, 2, 3]
    shown = history.track_history(1, as_shown_at=b.NOW_NS + 4 * SECOND)
    assert shown.revision.tolist() == [1, 2, 3, 4, 5]


def test_as_known_now(store):
    now = store(corrected()).track_history(1)
    assert now.revision.tolist() == [1, 4, 5]
    assert now.existence.tolist() == [0.5, 0.9, 0.9]
    assert len(store(b.updates_of(1, offset=9, track=2)).track_history(2)) == 1


def test_a_retracted_track_was_shown_and_never_was(store):
    store(b.updates_of(2))
    end = b.updates_of(1, offset=2, revision=3, status=3, reason=int(UpdateReason.RETRACTED))
    history = store(end)
    assert len(history.track_history(1)) == 0
    assert len(history.track_history(1, as_shown_at=b.NOW_NS + 9 * SECOND)) == 3


def test_current_tracks_leave_out_the_stale(store):
    history = store(
        TrackUpdates.concat(
            [b.updates_of(1, track=1), b.updates_of(1, track=2, offset=1, valid=b.NOW_NS + SECOND)]
        )
    )
    assert history.current_tracks().track_id.tolist() == [1, 2]
    after = b.NOW_NS + 10 * SECOND + 1
    assert history.current_tracks(at_ns=after).track_id.tolist() == [2]


def test_updates_between_times_are_exact_to_the_nanosecond(store):
    history = store(b.updates_of(5))
    since, until = b.NOW_NS + SECOND, b.NOW_NS + 3 * SECOND
    assert history.updates(since_ns=since, until_ns=until).revision.tolist() == [2, 3]
    assert history.updates(since_ns=since + 1).revision.tolist() == [3, 4, 5]
    assert history.updates(until_ns=until + 1).revision.tolist() == [1, 2, 3, 4]


def test_an_unknown_track_has_no_past(store):
    assert len(store(b.updates_of(1)).track_history(77)) == 0


def test_old_rows_are_deleted_and_young_ones_kept(migrated_database, monkeypatch):
    monkeypatch.setattr("storage.retention.DELETE_ROWS", 2)
    builder = DetectionsBuilder()
    for index in range(5):
        builder.report(sensor=0, time=b.NOW_NS + index * SECOND, offset=index)
        builder.detection(position=(1.0, 0.5, 0.0))
    refused = [Quarantined(0, 0, "s", Reason.RATE, "")]
    batch = b.batch_of(b.updates_of(5), detections=builder.build(), quarantined=refused)
    with Writer(migrated_database, "north") as north, Writer(migrated_database, "south") as south:
        north.write([batch], 1)
        south.write([batch], 1)
    policy = Policy(
        keep_detections=timedelta(seconds=10),
        keep_tracks=timedelta(seconds=12),
        keep_quarantine=None,
    )
    deleted = expire(migrated_database, "north", policy, b.NOW_NS + 13 * SECOND)
    assert deleted == {
        "detections": 3,
        "reports": 3,
        "tracks": 1,
        "track_current": 0,
        "foreign_updates": 0,
        "foreign_current": 0,
    }
    counts = History(migrated_database, "north").counts()
    assert counts == {
        "reports": 2,
        "detections": 2,
        "tracks": 4,
        "track_current": 1,
        "quarantine": 1,
        "foreign_updates": 0,
        "foreign_current": 0,
    }
    assert History(migrated_database, "south").counts()["reports"] == 5
    with psycopg.connect(migrated_database) as connection:
        oldest = connection.execute(
            "SELECT min(time_ns) FROM vedette.reports WHERE node = 'north'"
        ).fetchone()
    assert oldest == (b.NOW_NS + 3 * SECOND,)
