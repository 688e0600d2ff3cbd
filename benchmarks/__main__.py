"""``python -m benchmarks NAME [--json]``; ``all`` runs every one."""

import argparse
import json
import signal
import sys
from importlib import import_module

NAMES = ("fusion", "measure", "accuracy", "adapters", "storage", "ingest")
"""Benchmarks there are, in the order in which ``all`` runs them."""


def main() -> int:
    """Run one benchmark, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog="Example: python -m benchmarks fusion --json"
    )
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    # Ended from outside, a benchmark still ends its processes and removes its folders.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    chosen = NAMES if args.name == "all" else (args.name,)
    results = {}
    for name in chosen:
        sys.stdout.write(f"\n{name}\n{'=' * len(name)}\n")
        sys.stdout.flush()
        results[name] = import_module(f"benchmarks.{name}").run()
    if args.json:
        print(json.dumps(results if args.name == "all" else results[args.name]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
