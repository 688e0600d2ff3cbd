"""What is published: angles without arc tangents, and columns that are used again."""

import math

import numpy as np
import pytest

from fusion.describe import SAID
from fusion.geodesy import BOWRING_M, SMALL, angle_from, ecef_of, sines, sines_at
from fusion.outbox import MANY, Outbox, Spare, updates_of
from model.tracks import TrackUpdates


def test_latitudes_are_right_to_a_hundredth_of_a_millimetre() -> None:
    worst = 0.0
    for latitude in np.linspace(-math.pi / 2 + 1e-9, math.pi / 2 - 1e-9, 401):
        for height in np.linspace(-BOWRING_M, BOWRING_M, 13):
            at = sines_at(ecef_of(sines(latitude, 2.0), height), height)
            worst = max(worst, abs(math.atan2(at[0], at[1]) - latitude))
    assert worst < 2e-12  # of 6.4e6 m: 0.013 mm


@pytest.mark.parametrize("height", [31_000.0, 400_000.0, 3e7])
def test_latitudes_far_up_are_right_to_rounding(height: float) -> None:
    for latitude in np.linspace(-1.5, 1.5, 31):
        at = sines_at(ecef_of(sines(latitude, -3.0), height), height)
        assert math.atan2(at[0], at[1]) == pytest.approx(latitude, abs=1e-14)
        assert math.atan2(at[2], at[3]) == pytest.approx(-3.0, abs=1e-15)


def test_angles_about_a_known_one_are_right_to_rounding_and_within_a_turn() -> None:
    for known in np.linspace(-math.pi, math.pi, 41):
        for away in (0.0, 1e-12, 1e-6, 0.5 * SMALL, 0.999 * SMALL, 1.001 * SMALL, 1.0, 3.0):
            for sign in (-1.0, 1.0):
                sine, cosine = math.sin(known + sign * away), math.cos(known + sign * away)
                angle = angle_from(sine, cosine, known, math.sin(known), math.cos(known))
                assert -math.pi <= angle <= math.pi
                apart = math.remainder(angle - math.atan2(sine, cosine), 2.0 * math.pi)
                assert abs(apart) < 1e-15


def _said(rows: int) -> np.ndarray:
    said = np.zeros(rows, SAID)
    said["track_id"] = np.arange(1, rows + 1)
    said["state"] = np.arange(rows * 6).reshape(rows, 6)
    said["number"] = np.frombuffer(b"A0001", np.uint8)
    said["words"] = np.frombuffer(b"265000001".ljust(24, b"\0"), np.uint64)
    return said


def _sent(spare: Spare, said: np.ndarray) -> TrackUpdates:
    outbox = Outbox(spare=spare)
    outbox.of(7, 8)
    outbox.add(said, np.arange(len(said)))
    return outbox.updates()


def test_columns_are_those_of_the_records_numbered_by_input() -> None:
    said, outbox = _said(5), Outbox()
    for offset, slots in ((3, [4, 0]), (3, [1]), (4, [2, 3])):
        outbox.of(offset, 10 * offset)
        outbox.add(said, np.array(slots))
    updates = outbox.updates().check()
    assert updates.known_offset.tolist() == [3, 3, 3, 4, 4]
    assert updates.known.tolist() == [30, 30, 30, 40, 40]
    assert updates.n.tolist() == [0, 1, 2, 0, 1]
    assert updates.track_id.tolist() == [5, 1, 2, 3, 4]
    assert np.array_equal(updates.state, said["state"][[4, 0, 1, 2, 3]])
    assert updates.number.tolist() == [b"A0001"] * 5
    assert updates.identity.tolist() == [b"265000001"] * 5


@pytest.mark.parametrize("held", ["state", "number", "identity", "n", "existence"])
def test_memory_of_updates_is_used_again_only_when_nobody_holds_any_of_it(held: str) -> None:
    spare, said = Spare(), _said(2 * MANY)
    column = getattr(_sent(spare, said), held)
    before = column.copy()
    others = [_sent(spare, _said(2 * MANY)[::-1]) for _ in range(4)]
    assert np.array_equal(column, before)
    assert all(np.array_equal(o.track_id, said["track_id"][::-1]) for o in others)


def test_updates_of_nothing_keep_the_schema() -> None:
    assert len(updates_of(np.zeros(0, SAID)).check()) == 0
    assert len(Outbox().updates().check()) == 0
