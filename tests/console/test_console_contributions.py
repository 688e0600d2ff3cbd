"""When each sensor last contributed, told from the updates alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.contributions import Contributions
from model.tracks import MAX_SENSORS, Status, TrackUpdates, UpdateReason


def update(
    track: int, valid: int, reason: UpdateReason, *sensors: int, status: Status = Status.CONFIRMED
) -> TrackUpdates:
    updates = TrackUpdates.empty(1)
    updates.track_id[:] = track
    updates.valid[:] = valid
    updates.reason[:] = reason
    updates.status[:] = status
    updates.sensors[0, : len(sensors)] = sensors
    return updates


def test_a_detection_is_of_its_first_sensor_and_a_miss_of_none():
    heard = Contributions()
    heard.take(
        TrackUpdates.concat(
            [
                update(1, 10, UpdateReason.DETECTED, 4),
                update(2, 11, UpdateReason.CONFIRMED, 4),
                update(1, 12, UpdateReason.DETECTED, 7, 4),
                update(1, 13, UpdateReason.MISSED, 7, 4),
                update(1, 14, UpdateReason.COASTED, 7, 4),
            ]
        )
    )
    assert heard.of(1) == {4: 10, 7: 12}
    assert heard.of(2) == {4: 11}
    assert heard.of(3) == {}


def test_batches_change_nothing_and_a_late_report_does_not_turn_time_back():
    rows = [update(1, valid, UpdateReason.DETECTED, 4) for valid in (10, 30, 20)]
    whole, cut = Contributions(), Contributions()
    whole.take(TrackUpdates.concat(rows))
    for row in rows:
        cut.take(row)
    assert whole.of(1) == cut.of(1) == {4: 30}


def test_what_is_deleted_is_forgotten():
    heard = Contributions()
    heard.take(update(1, 10, UpdateReason.DETECTED, 4))
    heard.take(update(1, 20, UpdateReason.LOST, 4, status=Status.DELETED))
    assert heard.of(1) == {}
    assert len(heard) == 0


def test_a_track_holds_no_more_sensors_than_an_update_names():
    heard = Contributions()
    for sensor in range(3 * MAX_SENSORS):
        newest = np.arange(sensor, max(-1, sensor - MAX_SENSORS), -1)
        heard.take(update(1, 100 + sensor, UpdateReason.DETECTED, *newest.tolist()))
    last = 3 * MAX_SENSORS - 1
    assert heard.of(1) == {last - i: 100 + last - i for i in range(MAX_SENSORS)}


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(1, 4), st.integers(0, 50), st.integers(0, MAX_SENSORS - 1),
                st.sampled_from([Status.CONFIRMED, Status.CONFIRMED, Status.DELETED]),
            ),
            max_size=12,
        ),
        max_size=6,
    ),
    st.integers(0, 20),
)  # fmt: skip
def test_gathering_changes_nothing(batches: list[Any], gathered: int) -> None:
    heard, wanted = Contributions(), dict[int, dict[int, int]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.contributions.GATHERED", gathered)
        for batch in batches:
            rows = [update(t, v, UpdateReason.DETECTED, s, status=a) for t, v, s, a in batch]
            heard.take(TrackUpdates.concat([TrackUpdates.empty(), *rows]))
            for track, valid, sensor, status in batch:
                times = wanted.setdefault(track, {})
                times[sensor] = max(valid, times.get(sensor, 0))
                if status == Status.DELETED:
                    del wanted[track]
    assert {track: heard.of(track) for track in wanted} == wanted
    assert len(heard) == len(wanted)
