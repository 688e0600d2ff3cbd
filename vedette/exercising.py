"""The process that plays a scenario into a node: ``python -m vedette.exercising SITE.toml``.

It sends what the scenario's sensors of this node say at the pace of the clock until it is told to
stop, and then prints one line of JSON about what became of its messages. Nodes whose processes
are given the same scenario, seed and start share one world; whoever comes late begins in the
middle of it.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from config import Site, load_site
from exercise.pacing import Clock, paced, publish
from exercise.replaying import Due
from exercise.run import Exercise
from exercise.scenario import load_scenario, packaged
from link.publisher import Publisher
from link.settings import ClientSettings, Tls
from model.errors import ConfigError
from vedette.credentials import add_tls_options, must_publish, settings_for, tls_of
from vedette.local.process import watch_parent

CONNECT_S = 30.0
"""How long to wait for the broker before playing on without it, s."""


def settings_of(
    site: Site,
    username: str | None = None,
    password_file: Path | None = None,
    tls: Tls | None = None,
) -> ClientSettings:
    """How the sensors speak to the node's broker.

    Parameters
    ----------
    site
        The node's site file.
    username, password_file
        Credentials of their own; None: those of the site file.
    tls
        A player's certificate, where the broker asks for one.

    Raises
    ------
    ConfigError
        If the password cannot be read, a certificate is missing, or who it names may say nothing.
    """
    settings = settings_for(site, f"{site.node}-exercise", tls)
    must_publish(site, tls)
    if username:
        settings = replace(settings, username=username)
    if password_file is not None:
        try:
            password = password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{password_file}: {error}"]) from error
        settings = replace(settings, password=password)
    return settings


def main(arguments: list[str] | None = None) -> int:
    """Play until SIGTERM or SIGINT, or for a while."""
    parser = argparse.ArgumentParser(prog="python -m vedette.exercising")
    parser.add_argument("site", type=Path)
    parser.add_argument("--scenario", default="border")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--start-ns", type=int, help="when the exercise began, UTC ns; now if left out"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--username", help="the sensors' own, not that of the site file")
    parser.add_argument("--password-file", type=Path)
    add_tls_options(parser, "player")
    args = parser.parse_args(arguments)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    watch_parent()
    try:
        site = load_site(args.site)
        scenario = load_scenario(packaged(args.scenario)).of_node(site.node)
        publisher = Publisher(settings_of(site, args.username, args.password_file, tls_of(args)))
    except ConfigError as error:
        sys.stderr.write("\n".join(error.problems) + "\n")
        return 2
    publisher.start()
    try:
        publisher.wait_connected(CONNECT_S)
        now_ns, clock_ns = time.time_ns(), time.monotonic_ns()
        start_ns = now_ns if args.start_ns is None else args.start_ns
        exercise = Exercise(scenario, args.seed, start_ns=start_ns, node=site.node, mode=site.mode)
        # Nobody heard what was said before: that is left out, not said late.
        first_ns = start_ns + round((now_ns - start_ns) * args.speed)

        def messages() -> Iterator[Due]:
            for emission in exercise.emissions(args.seconds):
                if emission.send_ns >= first_ns:
                    yield Due(emission.send_ns, emission.topic, emission.payload)
                elif stopping.is_set():
                    return

        clock = Clock(time.monotonic_ns, lambda seconds: _pause(stopping, seconds))
        due = paced(messages(), clock, args.speed, (first_ns, clock_ns))
        # What was waited for when the end came is not said early.
        outcome = publish(takewhile(lambda _: not stopping.is_set(), due), publisher)
    finally:
        publisher.stop()
    print(
        json.dumps(
            {
                "sent": outcome.sent,
                "stored": outcome.stored,
                "unmatched": outcome.unmatched,
                "refused": outcome.refused,
            }
        )
    )
    return 0


def _pause(stopping: threading.Event, seconds: float) -> None:
    stopping.wait(seconds)


if __name__ == "__main__":
    sys.exit(main())
