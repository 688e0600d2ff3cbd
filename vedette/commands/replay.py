"""`vedette replay`: play recorded sensors into a node that runs in exercise mode."""

import argparse
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from adapters.registry import load_all
from config.site import load_site
from exercise.pacing import Clock, paced, publish
from exercise.replaying import Due, Source, Summary, Target, open_source, strangers
from exercise.shifting import Change
from link.publisher import Publisher
from link.settings import ClientSettings
from model.errors import ConfigError, InputFileError, LinkError, VedetteError
from model.sensors import Sensors
from model.time import NS_PER_S, iso_from_ns
from vedette.credentials import add_tls_options, must_publish, settings_for, tls_of

EPILOG = """\
examples:
  vedette replay reports.jsonl --site exercise.toml
  vedette replay flight.tlog --site exercise.toml --sensor uav-station --speed 4
  vedette replay harbour.vrec --broker 127.0.0.1:1883 --node demo --speed 0
  vedette replay harbour.vrec --site exercise.toml --ca trust.pem \\
      --certificate certificate.pem --key key.pem

Every time in a file moves by one whole number of nanoseconds, so that the first report is from
now; the distances between times stay as recorded. Messages go to topics of a node in exercise
mode only (vedette-exercise/…). A broker that asks for certificates is shown a player's
(`vedette pki issue --kind player NODE`), one connection at a time. Exit status: 0 all acknowledged,
1 some had no subscriber or were refused, 2 a mistake in what was asked.
"""

CONNECT_S = 5.0
"""How long the broker may take to answer at the start, s."""

HAND_ON_S = 2.0
HAND_ON_RATE_HZ = 1_000.0
"""Brokers of MQTT 3.1.1 cannot say what became of a message, and amqtt 0.12.1 drops what it has
acknowledged but not handed on when the sender disconnects (154 of 300 came through). It hands on
1,500 a second; so we stay connected for so long, and a second more for every 1,000 messages."""

HAND_ON_MOST_S = 30.0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to play to.

    Parameters
    ----------
    settings
        The broker.
    root
        First two levels of the topics.
    sensors
        Sensors that the site has; None: not known.
    """

    settings: ClientSettings
    root: str
    sensors: Sensors | None


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "replay",
        help="play recorded sensors into an exercise",
        description="Play a recording, reports (.jsonl), AIS (.nmea, .txt) or a MAVLink log "
        "(.tlog) into a node in exercise mode.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--site", type=Path, metavar="SITE.toml")
    where.add_argument("--broker", metavar="HOST:PORT", help="with --node, instead of --site")
    parser.add_argument("--node", help="name of the node, with --broker")
    add_tls_options(parser, "player")
    parser.add_argument(
        "--sensor",
        metavar="ID",
        default="",
        help="sensor of an AIS file or log; of other files: play this sensor only",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="X",
        help="times faster than recorded; 0: as fast as the broker acknowledges (default 1)",
    )
    parser.add_argument(
        "--shift",
        choices=("now", "none"),
        default="now",
        help="move times so that the first report is from now, or leave them (default now)",
    )
    parser.add_argument(
        "--loop", choices=("yes", "no"), default="no", help="begin again at the end"
    )
    parser.add_argument(
        "--boot",
        default="",
        metavar="SUFFIX",
        help="put this behind each boot, so that a node which has had the file takes it again",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    try:
        destination = _destination(args)
        plans = _survey(args, destination)
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    except VedetteError as error:
        print(error, file=sys.stderr)
        return 2
    publisher = Publisher(destination.settings)
    publisher.start()
    try:
        if not publisher.wait_connected(CONNECT_S):
            reason = publisher.status.reason or "no answer"
            print(f"broker {destination.settings.name}: {reason}", file=sys.stderr)
            return 2
        return _play(args, plans, publisher, destination)
    except LinkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        counts = publisher.counts
        print(f"stopped: {counts.stored} of {counts.sent} acknowledged", file=sys.stderr)
        return 130
    finally:
        publisher.stop()


def _destination(args: argparse.Namespace) -> Destination:
    """Broker, topics and sensors out of the site file or the arguments."""
    if not (args.speed >= 0.0):
        raise ConfigError(["--speed: must be 0 or more"])
    tls = tls_of(args)
    client = f"vedette-replay-{uuid.uuid4().hex[:8]}"
    if args.site is not None:
        site = load_site(args.site, load_all())
        if site.mode != "exercise":
            raise ConfigError(
                [f'{args.site}: node.mode: is {site.mode!r}; replay goes to mode = "exercise" only']
            )
        settings = settings_for(site, client, tls)
        must_publish(site, tls)
        return Destination(settings, site.topic_root, site.engine.sensors)
    if not args.node:
        raise ConfigError(["--node: is missing (it goes with --broker)"])
    if any(sign in args.node for sign in "/+#"):
        raise ConfigError([f"--node: {args.node!r} is no name"])
    host, colon, port = args.broker.rpartition(":")
    if not colon or not port.isdigit():
        raise ConfigError([f"--broker: {args.broker!r} is not HOST:PORT"])
    settings = ClientSettings(host=host.strip("[]"), port=int(port), client_id=client, tls=tls)
    return Destination(settings, f"vedette-exercise/{args.node}", None)


def _survey(
    args: argparse.Namespace, destination: Destination
) -> list[tuple[Source, Target, Summary]]:
    """Read every file through before anything is sent; all mistakes at once."""
    only = frozenset({args.sensor} if args.sensor else ())
    target = Target(destination.root, args.sensor, only)
    plans: list[tuple[Source, Target, Summary]] = []
    problems: list[str] = []
    for path in args.files:
        try:
            source = open_source(path, target)
            summary = source.survey(target)
        except InputFileError as error:
            problems.append(str(error))
            continue
        if destination.sensors is not None:
            problems += [
                f"{path}: sensor {name!r} is not in {args.site}"
                for name in strangers(summary, destination.sensors.ids)
            ]
        plans.append((source, target, summary))
        for line in _remarks(summary):
            print(f"{path}: {line}", file=sys.stderr)
    if problems:
        raise ConfigError(problems)
    return plans


def _remarks(summary: Summary) -> list[str]:
    """What a person should know about a file."""
    remarks = []
    if summary.torn_bytes:
        remarks.append(f"{summary.torn_bytes} bytes belong to no whole message: not played")
    if summary.skipped:
        remarks.append(f"{summary.skipped} messages of other topics or sensors: not played")
    if summary.unread:
        remarks.append(f"{summary.unread} messages could not be read: played as they are")
    return remarks


def _play(
    args: argparse.Namespace,
    plans: list[tuple[Source, Target, Summary]],
    publisher: Publisher,
    destination: Destination,
) -> int:
    """Publish all files, one after another; returns the exit status."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    clock = Clock(time.monotonic_ns, time.sleep)
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        rounds = 0
        while rounds == 0 or args.loop == "yes":
            for source, target, summary in plans:
                task = progress.add_task(source.path.name, total=summary.messages, note="")
                messages = _messages(args, rounds, source, target, summary)
                _publish(paced(messages, clock, args.speed), publisher, progress, task)
                progress.remove_task(task)
            rounds += 1
    counts, seconds = publisher.counts, time.monotonic() - began
    if publisher.status.protocol != "5":
        hurry = counts.sent / HAND_ON_RATE_HZ if args.speed == 0.0 else 0.0
        time.sleep(min(HAND_ON_S + hurry, HAND_ON_MOST_S))
    line = f"{counts.stored} of {counts.sent} messages acknowledged in {seconds:.1f} s"
    if counts.resent:
        line += f", {counts.resent} sent again"
    if counts.unmatched:
        line += f"; {counts.unmatched} had no subscriber (does {destination.root} run?)"
    if counts.refused:
        line += f"; {counts.refused} refused by the broker"
    print(line, file=sys.stderr)
    return 0 if counts.stored == counts.sent else 1


def _messages(
    args: argparse.Namespace, rounds: int, source: Source, target: Target, summary: Summary
) -> Iterator[Due]:
    """Messages of a file with its times moved, if they are to be."""
    shift_ns = time.time_ns() - summary.anchor_ns if args.shift == "now" else 0
    suffix = args.boot + (f"~{rounds}" if rounds else "")
    print(
        f"{source.path}: {summary.messages} messages of {len(summary.sensors)} sensors, "
        f"{(summary.last_ns - summary.first_ns) / NS_PER_S:.1f} s from "
        f"{iso_from_ns(summary.anchor_ns)}, shifted by {shift_ns} ns",
        file=sys.stderr,
    )
    return source.play(target, Change(shift_ns, "exercise", suffix))


def _publish(
    messages: Iterator[Due], publisher: Publisher, progress: Progress, task: TaskID
) -> None:
    """Publish and show how it goes."""
    publish(
        messages,
        publisher,
        on_sent=lambda: progress.update(task, advance=1, note=""),
        on_trouble=lambda error: progress.update(task, note=f"waiting: {error}"),
    )
