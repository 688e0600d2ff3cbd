"""A source: a process that speaks for some sensors. ``python -m benchmarks.chaos.source SETTINGS``.

It makes reports at a steady pace. Each goes into the outbox, then into the book, both synced, and
only then to the broker; and again, until it is known to be stored. It ends with status 0 once it
has made all its reports and the outbox is empty. Killed at any moment it goes on where it was, with
a new boot.
"""

import json
import logging
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.chaos.book import Book
from benchmarks.chaos.outbox import JournalReceipts, Outbox
from benchmarks.chaos.traffic import NODE, Traffic, sensor_id
from link.publisher import Publisher
from link.settings import ClientSettings, Protocol
from model.errors import LinkError
from vedette.local.process import watch_parent

log = logging.getLogger("source")

TURN_S = 0.05
"""Pause between two turns, s: reports of one turn share a sync."""

BURST_S = 1.0
"""After a freeze at most so much is made up for in one turn, s."""

PATIENCE_S = 5.0
"""How long a publication waits for a broker that is away, s; then it is looked at again."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What a source needs to know.

    Parameters
    ----------
    name
        Of its client, book and outbox.
    folder
        Where its book and outbox are.
    journal
        Of the node, which its receipts are read from.
    host, port, protocol
        The broker.
    sensors
        Indices of the sensors that it speaks for.
    seed
        As in `Traffic`.
    reports
        How many it makes in all.
    rate_hz
        Reports a second.
    """

    name: str
    folder: str
    journal: str
    host: str
    port: int
    protocol: Protocol
    sensors: tuple[int, ...]
    seed: int
    reports: int
    rate_hz: float

    @property
    def book(self) -> Path:
        """Its book."""
        return Path(self.folder) / f"{self.name}.book"

    def save(self) -> Path:
        """Write them where `load` finds them; returns the file."""
        path = Path(self.folder) / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def load(cls, path: Path) -> "SourceSettings":
        """Read what `save` wrote."""
        document = json.loads(path.read_text())
        document["sensors"] = tuple(document["sensors"])
        return cls(**document)


class Source:
    """Makes, keeps and publishes reports.

    Parameters
    ----------
    settings
        What it needs to know.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings
        self.book = Book(settings.book)
        self.outbox = Outbox(Path(settings.folder) / f"{settings.name}.outbox")
        names = [sensor_id(sensor) for sensor in settings.sensors]
        self.receipts = JournalReceipts(Path(settings.journal), names)
        self.done = threading.Event()
        self._reconcile()

    def _reconcile(self) -> None:
        """Write down what a kill left in the outbox alone; nothing of it was ever published."""
        noted = {line.split(b" ", 1)[1].rsplit(b" ", 1)[0] for line in _lines(self.settings.book)}
        missing = [
            one
            for one in self.outbox.messages
            if f"{one.key.sensor} {one.key.boot} {one.key.seq}".encode() not in noted
        ]
        self.book.note(missing, time.time_ns())
        self.outbox.release()

    def run(self) -> None:
        """Make all reports, and wait until they are stored."""
        settings = self.settings
        boot = f"{settings.name}-{time.time_ns() // 1_000_000:x}"  # 24 letters at most
        traffic = Traffic(settings.seed, settings.sensors, boot)
        sender = threading.Thread(target=self._send, name="sender", daemon=True)
        sender.start()
        credit, last_s = 0.0, time.monotonic()
        while self.book.lines < settings.reports or len(self.outbox):
            now_s = time.monotonic()
            credit += min(now_s - last_s, BURST_S) * settings.rate_hz
            last_s = now_s
            count = min(int(credit), settings.reports - self.book.lines)
            credit -= int(credit)
            if count:
                now_ns = time.time_ns()
                messages = [traffic.next(now_ns) for _ in range(count)]
                self.outbox.put(messages)
                self.book.note(messages, now_ns)
                self.outbox.release()
            self.outbox.clear(self.receipts.fetch())
            time.sleep(TURN_S)
        self.done.set()
        sender.join(2.0 * PATIENCE_S)

    def _send(self) -> None:
        """Publish what is due, for ever; on a thread of its own, for the broker may be away."""
        settings = self.settings
        client = ClientSettings(
            settings.host, settings.port, f"{NODE}-{settings.name}", protocol=settings.protocol
        )
        publisher = Publisher(client, patience_s=PATIENCE_S)
        publisher.start()
        waits = False
        while not self.done.is_set():
            due = [] if waits else self.outbox.due(time.monotonic())
            try:
                if due:
                    publisher.publish_all((one.topic, one.payload) for one in due)
                elif waits:
                    publisher.flush()
                else:
                    self.done.wait(TURN_S)
                waits = False
            except LinkError as error:
                # The publisher still has all of it; to give it more would be to send it twice.
                log.warning("%s", error)
                waits = True
        publisher.stop()


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def main() -> int:
    """Run a source to its end."""
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    watch_parent()
    Source(SourceSettings.load(Path(sys.argv[1]))).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
