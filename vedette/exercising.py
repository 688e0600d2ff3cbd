"""The process that plays a scenario into a node: ``python -m vedette.exercising SITE.toml``.

It sends what the scenario's sensors say at the pace of the clock until it is told to stop, and
then prints one line of JSON about what became of its messages.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from config import load_site
from exercise.pacing import Clock, paced, publish
from exercise.replaying import Due
from exercise.run import Exercise
from exercise.scenario import load_scenario, packaged
from link.publisher import Publisher
from link.settings import ClientSettings
from vedette.local.process import watch_parent


def main(arguments: list[str] | None = None) -> int:
    """Play until SIGTERM or SIGINT, or for a while."""
    parser = argparse.ArgumentParser(prog="python -m vedette.exercising")
    parser.add_argument("site", type=Path)
    parser.add_argument("--scenario", default="border")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--speed", type=float, default=1.0)
    args = parser.parse_args(arguments)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    watch_parent()
    site = load_site(args.site)
    scenario = load_scenario(packaged(args.scenario))
    exercise = Exercise(
        scenario, args.seed, start_ns=time.time_ns(), node=site.node, mode=site.mode
    )
    settings = ClientSettings(
        host=site.broker.host,
        port=site.broker.port,
        client_id=f"{site.node}-exercise",
        username=site.broker.username,
        password=site.password,
        protocol=site.broker.protocol,
    )
    clock = Clock(time.monotonic_ns, lambda seconds: _pause(stopping, seconds))

    def messages() -> Iterator[Due]:
        for emission in exercise.emissions(args.seconds):
            if stopping.is_set():
                return
            yield Due(emission.send_ns, emission.topic, emission.payload)

    publisher = Publisher(settings)
    publisher.start()
    try:
        outcome = publish(paced(messages(), clock, args.speed), publisher)
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
