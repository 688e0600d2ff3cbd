"""Scores over pictures, and the score command on files."""

import argparse
import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exercise.pictures import Picture, read_pictures
from exercise.scoring import score
from exercise.truth import TruthTarget, read_truth, surface_ecef, truth_of
from model.errors import InputFileError
from vedette.commands import score as command

M_LAT = 180.0 / np.pi / 6_367_449.0  # degrees of latitude per metre, good to 0.5 %


def place(north_m, east_m=0.0):
    return 10.0 + north_m * M_LAT, 20.0 + east_m * M_LAT / np.cos(np.radians(10.0))


def target(key, north_m, east_m=0.0):
    return TruthTarget(key, *place(north_m, east_m))


def picture(time_s, tracks, sensor="radar"):
    ecef = surface_ecef(np.array([place(*at) for at in tracks.values()]).reshape(-1, 2))
    return Picture(int(time_s * 1e9), sensor, tuple(tracks), ecef)


def test_truth_is_interpolated_and_gaps_are_skipped():
    truth = truth_of(
        [
            (0, [target(1, 0)]),
            (4_000_000_000, [target(1, 40), target(2, 0)]),
            (10_000_000_000, [target(1, 100)]),
            (11_000_000_000, []),
        ]
    )
    times = np.array([-1, 0, 1e9, 4e9, 7e9, 10e9, 10.5e9, 12e9]).astype(np.int64)
    ids, ecef, there = truth.at(times)
    assert ids == (1, 2)
    assert there[:, 0].tolist() == [False, True, True, True, False, True, False, False]
    assert there[:, 1].tolist() == [False, False, False, True, False, False, False, False]
    assert truth.known(times).tolist() == [False, True, True, True, False, True, True, False]
    expected = surface_ecef(np.array([place(10.0)]))[0]
    assert np.linalg.norm(ecef[2, 0] - expected) < 1e-3


def test_score_counts_misses_false_switches_and_near():
    truth = truth_of([(t * 1_000_000_000, [target(1, 0), target(2, 500)]) for t in range(6)])
    pictures = [
        picture(0, {"a": (0, 0)}),  # before --from
        picture(1, {"a": (3, 0), "b": (500, 4)}),
        picture(2, {"c": (3, 0), "b": (500, 4)}, sensor="eo"),  # not of --at
        picture(2, {"c": (3, 0), "b": (500, 4)}),
        picture(3, {"b": (500, 4)}),
        picture(4, {"a": (3, 0), "b": (500, 4), "far": (250, 0), "close": (40, 0)}),
        picture(99, {"a": (3, 0)}),  # the truth knows nothing of this time
    ]
    result = score(truth, pictures, start=2, at={"radar"})
    assert (result.pictures, result.skipped) == (4, 1)
    assert result.miss == pytest.approx(1 / 4)
    assert result.false == pytest.approx(2 / 4)
    assert result.id_switches == 2  # a to c, and c to a across the gap
    pairs = [3, 4, 3, 4, 4, 3, 4]
    assert result.rmse == pytest.approx(np.sqrt(np.mean(np.square(pairs))), rel=0.01)
    whole = np.sqrt([25, 25, 16 + 200, 25 + 400])
    assert result.gospa == pytest.approx(whole.mean(), rel=2e-3)
    near = np.sqrt([25, 25, 16 + 200, 25 + 200])
    assert result.near_gospa == pytest.approx(near.mean(), rel=2e-3)
    ospa = np.sqrt([25 / 2, 25 / 2, (16 + 400) / 2, (25 + 800) / 4])
    assert result.ospa == pytest.approx(ospa.mean(), rel=2e-3)
    assert result.siap.completeness == pytest.approx(7 / 8)
    assert result.siap.ambiguity == pytest.approx(1.0)
    assert result.siap.spuriousness == pytest.approx(2 / 9)
    assert result.siap.position_accuracy == pytest.approx(np.mean(pairs), rel=0.01)


def test_nothing_to_score_is_an_error():
    truth = truth_of([(0, [target(1, 0)])])
    with pytest.raises(ValueError, match="no picture to score"):
        score(truth, [picture(0, {})])


def test_nothing_shown_has_scores_and_no_numbers_that_are_none(tmp_path, capsys):
    rows = [{"time": t, "targets": [{"id": 1, "lat": 1.0, "lon": 2.0}]} for t in range(8)]
    truth = write_lines(tmp_path / "t.jsonl", rows)
    empty = [{"time": t, "sensor": "radar", "tracks": []} for t in range(7)]
    pictures = write_lines(tmp_path / "p.jsonl", empty)
    assert run_command("--truth", truth, pictures, "--json", "--c", "30") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ospa"] == pytest.approx(30.0)
    assert result["gospa"] == pytest.approx(30.0 / np.sqrt(2.0))
    assert result["siap"] == {
        "completeness": 0.0,
        "ambiguity": None,
        "spuriousness": None,
        "position_accuracy": None,
    }


def write_lines(path, rows):
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path


def run_command(*argv):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["score", *map(str, argv)])
    return args.run(args)


def test_every_mistake_of_both_files_is_named(tmp_path, capsys):
    truth = tmp_path / "t.jsonl"
    truth.write_text(
        '{"time":1.0,"targets":[{"id":1,"lat":91,"lon":0}]}\n\nnot json\n{"targets":[]}\n'
        '{"time":1.0,"targets":[{"id":1,"lat":1,"lon":0},{"id":1,"lat":1,"lon":0}]}\n'
    )
    pictures = tmp_path / "p.jsonl"
    pictures.write_text('{"time":1,"tracks":[{"id":"a","lat":1,"lon":2,"status":"lost?"}]}\n')
    assert run_command("--truth", truth, pictures) == 2
    lines = capsys.readouterr().err.splitlines()
    starts = [f"{truth}:1: target 1: lat", f"{truth}:3: ", f"{truth}:4: time is missing"]
    starts += [f"{truth}:5: target 1 is there twice", f"{pictures}:1: track a: status"]
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert run_command("--truth", tmp_path / "none", pictures) == 2
    assert "none: No such file" in capsys.readouterr().err


def test_command_prints_json_and_table(tmp_path, capsys):
    rows = [{"time": t, "targets": [{"id": 1, "lat": 1.0, "lon": 2.0}]} for t in range(8)]
    truth = write_lines(tmp_path / "t.jsonl", rows)
    shown = {"id": "A", "status": "confirmed", "lat": 1.0, "lon": 2.0}
    hidden = {"id": "B", "status": "tentative", "lat": 1.0, "lon": 2.001}
    pictures = write_lines(
        tmp_path / "p.jsonl",
        [{"time": t + 0.5, "sensor": "radar", "tracks": [shown, hidden]} for t in range(7)],
    )
    assert run_command("--truth", truth, pictures, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["pictures"] == 2
    assert result["gospa"] == result["miss"] == result["false"] == result["id_switches"] == 0
    assert result["near_gospa"] == result["rmse"] == result["ospa"] == 0.0
    assert result["siap"] == {
        "completeness": 1.0,
        "ambiguity": 1.0,
        "spuriousness": 0.0,
        "position_accuracy": 0.0,
    }
    assert run_command("--truth", truth, pictures, "--from", "7") == 0
    table = capsys.readouterr().out
    assert "near_gospa" in table
    assert "siap.completeness" in table
    assert run_command("--truth", truth, pictures, "--at", "lidar") == 2
    assert "lidar" in capsys.readouterr().err


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_readers_raise_only_input_errors(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    path.write_bytes(data)
    for read in (read_truth, read_pictures):
        with pytest.raises(InputFileError):
            read(path)


def test_recorded_truth_scores_itself_with_zero(tmp_path):
    folder = os.environ.get("VEDETTE_TEST_DATA")
    if not folder:
        pytest.skip("VEDETTE_TEST_DATA is not set")
    source = Path(folder) / "autoferry" / "scenario13" / "truth.jsonl"
    rows = [msgspec.json.decode(line) for line in source.read_bytes().splitlines()]
    pictures = write_lines(
        tmp_path / "p.jsonl",
        [{"time": row["time"], "sensor": "s", "tracks": row["targets"]} for row in rows],
    )
    result = score(read_truth(source), read_pictures(pictures))
    assert result.gospa == pytest.approx(0.0, abs=1e-6)
    assert result.miss == result.false == result.id_switches == 0
    assert result.pictures == len(rows) - 5
