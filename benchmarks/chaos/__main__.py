"""``python -m benchmarks.chaos {faults,report,soak,recovery,outage} …``."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Libraries start no threads of their own beside so many processes."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it."""


def _faults(args: argparse.Namespace) -> int:
    from benchmarks.chaos.campaign import Campaign, Settings, totals
    from benchmarks.chaos.progress import Shown
    from benchmarks.chaos.report import write_report
    from fusion.warm import warm_up

    settings = None if args.resume else Settings(args.seed, args.faults, args.per_round)
    try:
        campaign = Campaign(args.out, settings)
    except FileExistsError:
        return _mistake(f"{args.out}: holds a campaign already; --resume goes on with it")
    except FileNotFoundError:
        return _mistake(f"{args.out}: holds no campaign to go on with")
    warm_up()  # else the first node spends minutes compiling kernels
    with Shown(campaign) as shown:
        for one in campaign.left():
            if args.only not in (None, one.number):
                continue
            outcome = campaign.run(one, shown.say)
            write_report(campaign)
            shown.ended(outcome)
    rounds = campaign.ended()
    shown.total(totals(rounds), write_report(campaign))
    return int(any(one["problems"] for one in rounds))


def _report(args: argparse.Namespace) -> int:
    from benchmarks.chaos.campaign import Campaign
    from benchmarks.chaos.report import write_report

    try:
        campaign = Campaign(args.out, None)
    except FileNotFoundError:
        return _mistake(f"{args.out}: holds no campaign")
    sys.stdout.write(f"{write_report(campaign)}\n")
    return int(any(one["problems"] for one in campaign.ended()))


def _recovery(args: argparse.Namespace) -> int:
    from benchmarks.chaos.recovery import run

    figures = run(args.kills, _say, args.rate_hz)
    sys.stdout.write(json.dumps(figures) + "\n")
    return int(not figures["kept"])


def _soak(args: argparse.Namespace) -> int:
    from benchmarks.chaos.soak import run
    from fusion.warm import warm_up

    warm_up()
    figures = run(args.minutes, args.out, _say, args.rate_hz)
    sys.stdout.write("\n".join([*figures["failed"], figures["page"]]) + "\n")
    return int(bool(figures["failed"]))


def _outage(args: argparse.Namespace) -> int:
    from benchmarks.chaos.outage import run
    from fusion.warm import warm_up

    warm_up()
    figures = run(args.away_s, args.rate_hz, _say)
    sys.stdout.write(json.dumps(figures) + "\n")
    return int(figures["missing"] != 0)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _mistake(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        epilog="Example: python -m benchmarks.chaos faults --seed 7 --faults 100 --out chaos",
    )
    commands = parser.add_subparsers(required=True)
    faults = commands.add_parser("faults", help="kill and freeze a node, and judge it from outside")
    faults.add_argument("--seed", type=int, default=1, help="gives every fault of every round")
    faults.add_argument("--faults", type=int, default=1_000)
    faults.add_argument("--per-round", type=int, default=50)
    faults.add_argument("--only", type=int, metavar="ROUND", help="this round alone")
    faults.add_argument("--resume", action="store_true", help="go on with the campaign in --out")
    faults.set_defaults(run=_faults)
    report = commands.add_parser("report", help="write report.html of a campaign anew")
    report.set_defaults(run=_report)
    recovery = commands.add_parser("recovery", help="kill a core that has 10,000 tracks")
    recovery.add_argument("--kills", type=int, default=5)
    recovery.add_argument("--rate-hz", type=float, default=400.0, help="reports a second")
    recovery.set_defaults(run=_recovery)
    soak = commands.add_parser("soak", help="steady load for an hour: what grows")
    soak.add_argument("--minutes", type=float, default=60.0)
    soak.add_argument("--rate-hz", type=float, default=200.0, help="reports a second")
    soak.set_defaults(run=_soak)
    outage = commands.add_parser("outage", help="PostgreSQL away under load")
    outage.add_argument("--away-s", type=float, default=60.0)
    outage.add_argument("--rate-hz", type=float, default=500.0, help="reports a second")
    outage.set_defaults(run=_outage)
    for one in (faults, report, soak):
        one.add_argument("--out", type=Path, default=Path("chaos"), metavar="DIR")
    return parser


def _stop(number: int, _frame: Any) -> None:
    """End in good order; whoever is impatient waits, for nothing may be left running."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Run a command; 0: all is well, 1: something was wrong, 2: a mistake of the caller."""
    args = _parser().parse_args()
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        status: int = args.run(args)
    except KeyboardInterrupt as stopped:
        sys.stderr.write(f"\nstopped ({stopped}); what had ended is saved\n")
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
