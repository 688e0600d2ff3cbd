"""`vedette record`: keep what comes on a node's sensor topics in a file."""

import argparse
import queue
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from config.site import load_site
from exercise.recording import Captured, Header, RecordingWriter
from link.client import Subscriber
from link.messages import Received
from link.publisher import Publisher
from link.settings import ClientSettings
from model.errors import ConfigError, VedetteError
from vedette.broker.grants import DATA_LEAVES
from vedette.credentials import add_tls_options, must_read, settings_for, tls_of

EPILOG = """\
examples:
  vedette record --site site.toml morning.vrec
  vedette record --site site.toml --sensor radar-1 --seconds 600 radar.vrec
  vedette record --broker 127.0.0.1:1883 --topic 'farm/+/events' farm.vrec
  vedette record --site site.toml --ca trust.pem --certificate certificate.pem --key key.pem n.vrec

Stop it with Ctrl-C. Every message is written to the file before the broker is told that we have
it. Play the file with `vedette replay`. A broker that asks for certificates is shown a recorder's
(`vedette pki issue --kind recorder NODE`). It knows one connection of it: a second recording with
the same certificate ends the first.
"""

QUEUED_BATCHES = 64
"""Batches that may wait for the disk; then the link stops reading and the broker holds back."""

CONNECT_S = 5.0
"""How long the broker may take to answer at the start, s."""

LOSSES = 5
LOST_S = 60.0
"""A connection that was lost so often within so many seconds is taken over by another of the same
identity: each comes back within 0.2 s (`link.connection`) and its handshake."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "record",
        help="keep what sensors send in a file",
        description="Record what comes on sensor topics, in order of arrival, in one file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--site", type=Path, metavar="SITE.toml")
    where.add_argument("--broker", metavar="HOST:PORT", help="with --node or --topic")
    parser.add_argument("--node", help="name of the node, with --broker")
    parser.add_argument("--mode", choices=("live", "exercise"), default="live", help="of --node")
    add_tls_options(parser, "recorder")
    parser.add_argument("--sensor", metavar="ID", action="append", help="these sensors only")
    parser.add_argument(
        "--topic", metavar="FILTER", action="append", help="these topics instead of a node's"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    try:
        settings, node, topics = _source(args)
        writer = RecordingWriter(args.file, Header(time.time_ns(), node, tuple(topics)))
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    except VedetteError as error:
        print(error, file=sys.stderr)
        return 2
    with writer:
        status = _record(args, settings, topics, writer)
    if status == 2:
        args.file.unlink()  # it never began: leave the name free
        return status
    print(f"{args.file}: {writer.count} messages", file=sys.stderr)
    return status


def _source(args: argparse.Namespace) -> tuple[ClientSettings, str, list[str]]:
    """Broker, node and topic filters out of the site file or the arguments."""
    client = f"vedette-record-{uuid.uuid4().hex[:8]}"
    topics = list(args.topic or ())
    sensors = list(args.sensor or ("+",))
    tls = tls_of(args)
    if args.site is not None:
        site = load_site(args.site)
        known = site.engine.sensors
        strangers = [name for name in args.sensor or () if known.index(name) is None]
        if strangers:
            raise ConfigError([f"--sensor: {name!r} is not in {args.site}" for name in strangers])
        settings = settings_for(site, client, tls)
        bound = [
            topic
            for sensor in known
            if args.sensor is None or sensor.id in args.sensor
            for topic in sensor.topics
        ]
        topics = topics or _filters(site.topic_root, sensors) + bound
        must_read(site, tls, topics)
        return settings, site.node, topics
    host, colon, port = args.broker.rpartition(":")
    if not colon or not port.isdigit():
        raise ConfigError([f"--broker: {args.broker!r} is not HOST:PORT"])
    if not topics:
        if not args.node:
            raise ConfigError(["--node or --topic: is missing (it goes with --broker)"])
        root = "vedette-exercise" if args.mode == "exercise" else "vedette"
        topics = _filters(f"{root}/{args.node}", sensors)
    settings = ClientSettings(host=host.strip("[]"), port=int(port), client_id=client, tls=tls)
    return settings, args.node or "", topics


def _filters(root: str, sensors: Sequence[str]) -> list[str]:
    """Topic filters of sensors' data (not their status)."""
    return [f"{root}/sensors/{sensor}/{leaf}" for sensor in sensors for leaf in DATA_LEAVES]


class _Recorder(Subscriber):
    """Gives up when another of its identity takes its session over again and again.

    Two that pushed each other out in turn would each have a part of what came, and say nothing.
    Mosquitto 2.0 closes the connection without a word. So losses are counted: who was there first
    is pushed out first, has the most of them at any time, and leaves the field.
    """

    def __init__(
        self, settings: ClientSettings, filters: Sequence[str], on_batch: Callable[[Received], None]
    ) -> None:
        super().__init__(settings, filters, on_batch)
        self.certified = settings.tls is not None and settings.tls.certificate is not None
        """Whether others may have our session: it is the identity's, not ours alone."""
        self.pushed_out = False
        self._lost: deque[float] = deque(maxlen=LOSSES)

    def _disconnected(self) -> None:
        self._lost.append(time.monotonic())
        if self.certified and len(self._lost) == LOSSES and self._lost[-1] - self._lost[0] < LOST_S:
            self.pushed_out = True
            self._stopping.set()


def _record(
    args: argparse.Namespace,
    settings: ClientSettings,
    topics: list[str],
    writer: RecordingWriter,
) -> int:
    """Write until the time is up or somebody stops it; returns the exit status."""
    batches: queue.Queue[Received] = queue.Queue(QUEUED_BATCHES)
    subscriber = _Recorder(settings, topics, batches.put)
    # A session left behind would keep messages for ever: end it also when asked to terminate.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = _write_all(args, topics, writer, subscriber, batches)
        if status == 0:
            subscriber.pause()
            while _write_next(batches, writer, subscriber):
                pass
    except OSError as error:
        print(f"{args.file}: {error.strerror or error}", file=sys.stderr)
        status = 1
    finally:
        while not batches.empty():  # whoever waits to put a batch must be let go
            batches.get_nowait()
        subscriber.stop()
        if subscriber.status.epoch and not subscriber.pushed_out and _forget_session(settings):
            left = f"session {settings.client_id} may be left behind"
            print(f"broker {settings.name}: {left}", file=sys.stderr)
        signal.signal(signal.SIGTERM, before)
    return status


def _write_all(
    args: argparse.Namespace,
    topics: list[str],
    writer: RecordingWriter,
    subscriber: _Recorder,
    batches: "queue.Queue[Received]",
) -> int:
    """Write what comes until the time is up or somebody stops it; returns the exit status."""
    name = subscriber.settings.name
    try:
        # Under a certificate each recording has the same session, and one that was killed may
        # have left it behind, with what came since, on topics that nobody asks for now.
        if subscriber.certified and (reason := _forget_session(subscriber.settings)):
            print(f"broker {name}: {reason}", file=sys.stderr)
            return 2
        subscriber.start()
        if not subscriber.wait_subscribed(CONNECT_S):
            print(f"broker {name}: {subscriber.status.reason or 'no answer'}", file=sys.stderr)
            return 2
        if refused := subscriber.counts.refused_filters:
            listed = ", ".join(topics)
            print(
                f"broker {name}: refuses {refused} of {len(topics)} topics: {listed}",
                file=sys.stderr,
            )
            return 2
        print(f"{args.file}: recording {', '.join(topics)}", file=sys.stderr)
        deadline = time.monotonic() + (args.seconds or float("inf"))
        with Live(console=Console(stderr=True), refresh_per_second=2, transient=True) as live:
            while time.monotonic() < deadline:
                if subscriber.failed is not None:
                    print(f"broker {name}: {subscriber.failed}", file=sys.stderr)
                    return 1
                if subscriber.pushed_out:
                    while _write_next(batches, writer, subscriber):
                        pass
                    lost = f"connection lost {LOSSES} times within {LOST_S:.0f} s"
                    why = f"{lost}: does another show this certificate?"
                    print(f"broker {name}: {why}", file=sys.stderr)
                    return 1
                if _write_next(batches, writer, subscriber):
                    live.update(Text(f"{args.file}: {writer.count} messages"))
    except KeyboardInterrupt:
        pass
    return 0


def _forget_session(settings: ClientSettings) -> str:
    """End the session at the broker, or it would keep messages for us for ever.

    A clean session under the same name replaces it, and ends with its connection. Returns why that
    could not be done; empty: it is.
    """
    cleaner = Publisher(settings)
    cleaner.start()
    done = cleaner.wait_connected(CONNECT_S)
    reason = "" if done else cleaner.status.reason or "no answer"
    cleaner.stop()
    return reason


def _write_next(
    batches: "queue.Queue[Received]", writer: RecordingWriter, subscriber: Subscriber
) -> bool:
    """Write one batch, then acknowledge it; returns whether there was one."""
    try:
        received = batches.get(timeout=0.2)
    except queue.Empty:
        return False
    writer.write(Captured(m.received_ns, m.topic, m.payload) for m in received.messages)
    subscriber.ack(received.tokens)
    return True
