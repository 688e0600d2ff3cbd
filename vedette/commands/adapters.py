"""``vedette adapters``: which adapters there are, and whether one keeps its contract."""

import argparse
import json
import sys
from pathlib import Path

from adapters.conformance import verify
from adapters.registry import load, load_all
from model.errors import InputFileError
from model.sensors import Sensor


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "adapters",
        help="list adapters, or prove that one keeps its contract",
        epilog="Example: vedette adapters verify ais recorded.nmea --lines",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="name and version of every adapter installed")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    proof = actions.add_parser(
        "verify",
        help="run an adapter over samples: any cut, any damage, bounded state",
        epilog="Example: vedette adapters verify ais recorded.nmea --lines",
    )
    proof.add_argument("name", help="of the adapter, as in a site file")
    proof.add_argument("samples", type=Path, nargs="+", metavar="FILE")
    proof.add_argument("--lines", action="store_true", help="each line is a message of its own")
    proof.add_argument("--options", default="{}", metavar="JSON", help="the sensor's options")
    proof.set_defaults(run=_verify)


def _list(args: argparse.Namespace) -> int:
    adapters = load_all()
    if args.json:
        print(json.dumps({name: adapter.version for name, adapter in adapters.items()}))
        return 0
    for name, adapter in adapters.items():
        print(f"{name:12s} {adapter.version}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    adapter = load(args.name)
    try:
        options = json.loads(args.options)
    except json.JSONDecodeError as error:
        sys.stderr.write(f"vedette adapters: --options: not JSON: {error}\n")
        return 2
    if mistakes := adapter.check_options(options):
        for mistake in mistakes:
            sys.stderr.write(f"vedette adapters: --options: {mistake}\n")
        return 2
    samples: list[bytes] = []
    for path in args.samples:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputFileError(f"{path}: {error.strerror}") from error
        samples.extend(content.splitlines() if args.lines else [content])
    report = verify(adapter, samples, sensor=Sensor("sample", adapter=args.name, options=options))
    print(report)
    return 0 if report.passed else 1
