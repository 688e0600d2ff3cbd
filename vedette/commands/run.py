"""``vedette run SITE.toml``: run a node."""

import argparse
import signal
import sys
from pathlib import Path

from adapters.registry import load_all
from config import load_site
from vedette.local.process import watch_parent
from vedette.logs import set_up
from vedette.supervisor import CORE_STOP_S, SERVE_STOP_S, SHARE_STOP_S, Supervisor

ORPHAN_S = CORE_STOP_S + max(SERVE_STOP_S, SHARE_STOP_S) + 1.0
"""Seconds that the whole node gets when whoever started it is gone."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="run a node until SIGTERM or Ctrl-C",
        description=(
            "Starts the processes of a node (core, serve, and a publisher for each partner that it "
            "gives to), starts one again that dies, and stops "
            "them in order: what was received is processed and stored first. A second signal "
            "ends everything at once. Log lines go to stderr."
        ),
        epilog="Example: vedette run /etc/vedette/site.toml",
    )
    parser.add_argument("site", type=Path, metavar="SITE.toml")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until a signal; 0 if everything ended in good order."""
    log = set_up("run")
    site = load_site(args.site, load_all())
    giving = [partner.id for partner in site.partners if partner.agreement is not None]
    supervisor = Supervisor(args.site.resolve(), giving)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda one, _frame: supervisor.signalled(one))
    watch_parent(ORPHAN_S)
    log.info("node=%s mode=%s data=%s", site.node, site.mode, site.data_dir)
    sys.stderr.flush()
    return supervisor.run()
