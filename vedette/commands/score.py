"""`vedette score`: how good pictures are against the truth."""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

from exercise.pictures import read_pictures
from exercise.scoring import Score, score
from exercise.truth import read_truth
from model.errors import InputFileError

EPILOG = """\
example:
  vedette track --sensors sensors.toml reports.jsonl > pictures.jsonl
  vedette score --truth truth.jsonl pictures.jsonl --at radar,lidar --json

GOSPA with alpha = 2 (doi:10.23919/ICIF.2017.8009645), mean over the pictures from number --from
on, counted among those of --at. Pictures at times the truth does not know are skipped and counted.
OSPA (doi:10.1109/TSP.2008.920469) has the same --c and --p. SIAP: a track belongs to its nearest
target, if nearer than --c; several may belong to one.
"""

ROWS = (
    ("gospa", "m", "mean GOSPA"),
    ("near_gospa", "m", "the same, far estimates not charged"),
    ("miss", "", "targets without an estimate, mean"),
    ("false", "", "estimates without a target, mean"),
    ("rmse", "m", "over assigned pairs"),
    ("id_switches", "", "changes of a target's track, total"),
    ("ospa", "m", "mean OSPA"),
    ("siap.completeness", "", "targets with a track, part of all"),
    ("siap.ambiguity", "", "tracks per target that has one"),
    ("siap.spuriousness", "", "tracks without a target, part of all"),
    ("siap.position_accuracy", "m", "mean distance of a track from its target"),
    ("pictures", "", "scored"),
    ("skipped", "", "not scored: the truth does not know the time"),
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "score",
        help="score pictures against the truth",
        description="Score pictures (JSON Lines of `vedette track`) against the truth.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", type=Path, metavar="PICTURES.jsonl")
    parser.add_argument("--truth", type=Path, required=True, metavar="T.jsonl")
    parser.add_argument("--c", type=float, default=20.0, help="cut-off, m (default 20)")
    parser.add_argument("--p", type=float, default=2.0, help="exponent (default 2)")
    parser.add_argument(
        "--from",
        dest="start",
        type=int,
        default=6,
        metavar="N",
        help="first picture scored, from 1 (default 6: trackers need a few reports to begin)",
    )
    parser.add_argument(
        "--near",
        type=float,
        default=60.0,
        metavar="M",
        help="near_gospa does not charge estimates farther than this from every target "
        "(default 60 m)",
    )
    parser.add_argument(
        "--at", metavar="SENSOR,…", help="score only after reports of these sensors"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    problems: list[str] = []
    truth = pictures = None
    try:
        truth = read_truth(args.truth)
    except InputFileError as error:
        problems.append(str(error))
    try:
        pictures = read_pictures(args.pictures)
    except InputFileError as error:
        problems.append(str(error))
    at = None
    if args.at is not None:
        at = {name.strip() for name in args.at.split(",") if name.strip()}
        if pictures is not None:
            missing = sorted(at - {picture.sensor for picture in pictures})
            problems += [f"{args.pictures}: no picture is of --at {name}" for name in missing]
            if not at:
                problems.append("--at names no sensor")
    if problems or truth is None or pictures is None:
        print("\n".join(problems), file=sys.stderr)
        return 2
    try:
        result = score(truth, pictures, c=args.c, p=args.p, start=args.start, near=args.near, at=at)
    except ValueError as error:
        print(f"{args.pictures}: {error}", file=sys.stderr)
        return 2
    print(_as_json(result) if args.json else _as_table(result))
    return 0


def _as_json(result: Score) -> str:
    """One JSON object; what is not a number is null."""
    return json.dumps(_without_nan(dataclasses.asdict(result)))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_table(result: Score) -> str:
    """A table for people."""
    values = dataclasses.asdict(result)
    values |= {f"siap.{key}": value for key, value in values.pop("siap").items()}
    lines = []
    for name, unit, what in ROWS:
        value = values[name]
        number = f"{value:d}" if isinstance(value, int) else f"{value:.3f}"
        lines.append(f"{name:<22} {number:>10} {unit:<2} {what}")
    return "\n".join(lines)
