"""What the fusion benchmarks measure against, and that they run. Nothing is timed."""

import json
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import fusion, jitter, late, local, peer, registration, williams
from benchmarks.consistency import Sum
from benchmarks.floor import Floor, packed
from benchmarks.instruments import Camera, Instrument, Positions, Radar
from benchmarks.peer import Peer, Plan
from benchmarks.populations import POPULATIONS
from benchmarks.reports import REGION, positions, report, time_ns
from benchmarks.shown import Shown, nearest, scored, shown
from benchmarks.standard import scans, sensor
from fusion import Tracker

F = np.eye(4) + np.eye(4, k=2)
Q = np.kron([[1 / 3, 1 / 2], [1 / 2, 1.0]], np.eye(2))


def plain_scan(state, covariance, points, sigma):
    """What `floor.c` does, one track after another."""
    states, covariances, updated = [], [], 0
    for x, P in zip(state, covariance, strict=True):
        x, P = F @ x, F @ P @ F.T + Q
        S = P[:2, :2] + sigma**2 * np.eye(2)
        away = points - x[:2]
        squared = np.einsum("ij,jk,ik->i", away, np.linalg.inv(S), away)
        best = squared.argmin()
        if squared[best] < 16.0:
            gain = P[:, :2] @ np.linalg.inv(S)
            x, P = x + gain @ away[best], P - gain @ P[:2]
            updated += 1
        states.append(x)
        covariances.append(P)
    return packed(np.array(states), np.array(covariances)), updated


@pytest.mark.parametrize(("tracks", "points"), [(300, 450), (1, 1), (40, 3), (0, 7)])
def test_the_c_loop_does_what_it_says(tracks, points):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    rng = np.random.default_rng(tracks)
    state = np.hstack([rng.uniform(0, 3000, (tracks, 2)), rng.normal(0, 20, (tracks, 2))])
    root = rng.normal(size=(tracks, 4, 4)) * np.array([8.0, 8.0, 3.0, 3.0])[:, None]
    covariance = root @ root.transpose(0, 2, 1) + np.eye(4)
    seen = rng.uniform(0, 3000, (points, 2))
    floor = Floor()
    _, updated = floor.scan(packed(state, covariance), seen, 10.0, 1.0, 1.0)
    if tracks == 0:
        assert updated == 0
        return
    expected, count = plain_scan(state, covariance, seen, 10.0)
    assert updated == count
    assert floor.last == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_without_a_compiler_the_reason_is_told(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(RuntimeError, match="no C compiler"):
        Floor()


def test_a_missing_or_another_peer_is_told(monkeypatch):
    monkeypatch.setattr(peer, "VERSION", "0.0")
    assert peer.missing() in {"stonesoup is not installed", "stonesoup is 1.9.1, not 0.0"}


@pytest.mark.parametrize("association", ["gnn", "kdtree", "jpda"])
def test_the_peer_tracks_what_is_there(association):
    if why := peer.missing():
        pytest.skip(why)
    them = Peer(Plan(association, 1.0, 20.0, 10.0, clutter_m2=0.5 / 500.0**2))
    for step, scan in enumerate(scans(10, 12, seed=1)):
        tracks = them.step(scan.points, float(step), 10.0)
        if step == 1:
            assert len(tracks.position) == 0  # three hits confirm
    distance = np.linalg.norm(scan.truth[:, None] - tracks.position[None], axis=2)
    assert (distance.min(axis=1) < 50.0).mean() > 0.7
    assert len(tracks.ids) == len(tracks.position)


@pytest.mark.parametrize(("east_mps", "tolerance_m"), [(0.0, 1e-3), (12.0, 1.0)])
def test_pictures_come_back_in_the_plane(east_mps, tolerance_m):
    tracker = Tracker(sensor(9), REGION)
    start, velocity = np.array([[3000.0, -4000.0]]), np.array([[east_mps, -0.5 * east_mps]])
    for second in range(12):
        at = start + second * velocity
        tracker.step(report(0, second, positions(at, 10.0), offset=second))
    seen = shown(tracker, 11.0)
    assert seen.position == pytest.approx(at, abs=tolerance_m)
    assert seen.state[:, 2:] == pytest.approx(velocity, abs=tolerance_m)
    assert (np.linalg.eigvalsh(seen.covariance) > 0.0).all()
    assert nearest(at + 1e4, seen, 100.0).tolist() == [-1]
    assert nearest(at, seen, 100.0).tolist() == [0]
    assert scored(tracker, 11.0, at, 50.0) < 2.0 * tolerance_m
    assert tracker.picture(time_ns(11.0)).track_id.tolist() == seen.track_id.tolist()


STAND = (-1_500.0, -1_500.0)
INSTRUMENTS: dict[str, Callable[[], Instrument]] = {
    "position": lambda: Positions(10.0),
    "polar": lambda: Radar(STAND, 10.0, np.radians(0.7)),
    "rate": lambda: Radar(STAND, 10.0, np.radians(0.7), 0.5),
    "bearing": lambda: Camera(STAND, np.radians(0.3), 5.0),
}


@pytest.mark.parametrize("name", INSTRUMENTS)
@pytest.mark.parametrize("spread", [0.0, 1.0], ids=["truth", "tracks"])
def test_innovations_of_an_honest_picture_are_honest(name, spread):
    instrument = INSTRUMENTS[name]()
    rng = np.random.default_rng(3)
    count = 4000
    position = rng.uniform(-9000, 9000, (count, 2))
    position = position[np.linalg.norm(position + 1500.0, axis=1) > 1500.0]
    count = len(position)
    velocity = rng.normal(0, 10, (count, 2))
    sigmas = spread * np.array([8.0, 8.0, 2.0, 2.0])
    truth = np.hstack([position, velocity])
    tracks = Shown(
        np.arange(count),
        truth + sigmas * rng.normal(size=truth.shape),
        np.tile(np.diag(sigmas**2), (count, 1, 1)),
    )
    told = instrument.measure(position, velocity, rng)
    total = Sum()
    total.add(*instrument.innovation(told.values, tracks))
    assert total.result()["value"] == pytest.approx(1.0, abs=0.06)
    assert 0.85 < told.seen.mean() < 0.95


def test_bounds_hold_what_they_promise():
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(400):
        one = Sum()
        one.add(rng.normal(size=(100, 2)), np.tile(np.eye(2), (100, 1, 1)))
        inside += one.result()["inside"]
    assert 0.91 <= inside / 400 <= 0.985


@pytest.mark.parametrize("name", POPULATIONS)
def test_movers_stay_far_from_one_another(name):
    movers = POPULATIONS[name](1)
    earlier = movers.at(0.0)[0]
    for second in range(1, 61):
        position, velocity = movers.at(float(second))
        away = np.linalg.norm(position[:, None] - position[None], axis=2)
        assert away[~np.eye(len(away), dtype=bool)].min() > 700.0
        assert np.abs(position - earlier - velocity).max() < 20.0
        earlier = position


def test_four_targets_meet_and_one_dies():
    numbers, points = [], 0
    for step, scan in enumerate(williams.scans(seed=5)):
        numbers.append(len(scan.truth))
        points += len(scan.points)
        if step == williams.MIDDLE - 1:
            assert np.ptp(scan.truth, axis=0).max() < 5.0
    assert numbers == [4] * 40 + [3] * 41
    assert 700 < points < 1500


def test_late_reports_are_late_and_otherwise_the_same():
    said, grid, truth = late.world(seed=1)
    assert [one.arrives for one in said] == sorted(one.arrives for one in said)
    delays = np.array([one.arrives - one.seconds for one in said if one.sensor == 1])
    assert delays.min() >= 0.0
    assert delays.max() <= late.DELAY_S
    assert all(one.arrives == one.seconds for one in said if one.sensor == 0)
    for one in said:
        index = int(np.argmin(np.abs(grid - one.seconds)))
        error = one.points - truth[index]
        assert error.std() == pytest.approx((10.0, 3.0)[one.sensor], rel=0.4)
    squared, lacking = late.errors(late.dropped, said, grid, truth)
    assert lacking == 0
    assert 5.0 < np.sqrt(squared.mean()) < 20.0


def test_the_wrong_radar_is_wrong_by_what_is_said():
    looks = registration.looks(seed=2)
    for offset, look in enumerate(looks[:40]):
        right = registration.told(look, offset, wrong=False)
        wrong = registration.told(look, offset, wrong=True)
        bias = (
            registration.BIAS
            if look.sensor == registration.WRONG
            else dict.fromkeys(registration.BIAS, 0.0)
        )
        shift = (wrong.polar - right.polar)[:, :2]
        if look.sensor == registration.NETWORK:
            assert wrong.identity.tolist() == right.identity.tolist()
        else:
            assert shift[:, 0] == pytest.approx(bias["range_m"])
            assert shift[:, 1] == pytest.approx(bias["azimuth_rad"])
        assert (wrong.time - right.time).tolist() == [round(1e9 * bias["time_s"])]
    possible = registration._possible(looks)
    for part, rows in possible.items():
        assert rows[-1][1] == pytest.approx(registration.BIAS[part], rel=0.1)


@pytest.mark.slow
def test_costs_are_measured_and_are_numbers():
    row = fusion.scan_rows(60, 12)
    assert row["ms_per_scan"] > 0.0
    assert row["tracks"] >= 40
    reports = local.run(reports=50, targets=400)
    assert set(reports["single"]) == set(reports["batched"]) == {"1", "10", "300"}
    assert reports["live_tracks"] > 380
    result = jitter.run(seconds=0.8, warm_up=0.4)
    assert 0.7 < result["late_share"] < 0.95
    assert result["late_ratio"] > 0.0
    json.dumps([row, reports, result], allow_nan=False)
