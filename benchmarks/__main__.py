"""``python -m benchmarks NAME [--json] [--full]``; ``all`` runs every one."""

import argparse
import json
import os
import signal
import sys
from importlib import import_module

NAMES = ("fusion", "measure", "accuracy", "adapters", "storage", "ingest")
"""Benchmarks there are, in the order in which ``all`` runs them."""

LONG = {"fusion", "accuracy", "ingest"}
"""Those that have a long form."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Figures are CPU time of one core: libraries start no threads of their own."""


def main() -> int:
    """Run one benchmark, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog="Example: python -m benchmarks fusion --json"
    )
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument(
        "--full",
        action="store_true",
        help="fusion, accuracy: all seeds and runs, peers too; ingest: a border for ten minutes",
    )
    args = parser.parse_args()
    for name in ONE_THREAD:  # before NumPy is loaded, which reads them once
        os.environ.setdefault(name, "1")
    # Ended from outside, a benchmark still ends its processes and removes its folders.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    chosen = NAMES if args.name == "all" else (args.name,)
    results = {}
    for name in chosen:
        sys.stdout.write(f"\n{name}\n{'=' * len(name)}\n")
        sys.stdout.flush()
        values = {"full": args.full} if name in LONG else {}
        results[name] = import_module(f"benchmarks.{name}").run(**values)
    if args.json:
        print(json.dumps(results if args.name == "all" else results[args.name]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
