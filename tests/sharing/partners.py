"""A node that gives and a partner that takes, with a real broker between them."""

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from journal.codec import pack_output
from journal.log import SegmentedLog
from link.client import Subscriber
from link.settings import ClientSettings
from model.detections import Detections, Mode
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.records import Kind
from model.time import iso_from_ns
from model.tracks import TrackUpdates, UpdateReason
from sharing.agreement import parse_agreement
from sharing.answers import encode_back
from sharing.ledger import Ledger, Verified, verify
from sharing.receive import Receiver
from sharing.release import Parties
from tests.sharing.samples import INSIDE, text, updates
from vedette.local.broker import LocalBroker
from vedette.local.broker_files import Grant
from vedette.local.process import Child

WAIT_S = 30.0
ACK_S = 0.3

USERS = {"north-to-south": "n", "south": "s", "west": "w", "south-people": "p", "west-people": "q"}
SOUTH = "vedette/north/shared/south"


def acl(root: str = "vedette") -> dict[str, Grant]:
    south, west = f"{root}/north/shared/south", f"{root}/north/shared/west"
    return {
        "north-to-south": Grant((f"{south}/#",), (f"{south}/+/ack", f"{south}/+/control")),
        "south": Grant((f"{south}/+/ack", f"{south}/+/control"), (f"{south}/#",)),
        "south-people": Grant((), (f"{south}/+/live.json",)),
        "west": Grant((f"{west}/+/ack", f"{west}/+/control"), (f"{west}/#",)),
        "west-people": Grant((), (f"{west}/#",)),
    }


SITE = """
[node]
name = "north"
mode = "{mode}"
data_dir = "data"
[broker]
host = "{host}"
port = {port}
protocol = "5"
[database]
dsn = "host=127.0.0.1 port=1 dbname=none"
[[sensor]]
id = "radar-1"
position = {{ lat = 59.4, lon = 28.2 }}
[[partner]]
id = "south"
agreement = "agreements/south.toml"
username = "north-to-south"
password_file = "password"
"""


def until(condition, wait_s=WAIT_S, what: Any = "") -> Any:
    deadline = time.monotonic() + wait_s
    while not (value := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.01)
    return value


class GivingNode:
    """The files of the node *north*: an output log that the test writes, and its publisher."""

    def __init__(self, folder: Path, broker: LocalBroker, mode: str = "live") -> None:
        self.folder, self.mode = folder, mode
        self.site = folder / "site.toml"
        self.site.write_text(SITE.format(mode=mode, host=broker.host, port=broker.port))
        (folder / "password").write_text(USERS["north-to-south"] + "\n")
        self.agreement = folder / "agreements" / "south.toml"
        self.agreement.parent.mkdir()
        self.data = folder / "data"
        self.outputs = SegmentedLog(self.data / "outputs", durable=False)
        self.log = folder / "publisher.log"
        self.through = -1
        self.revision = 0
        self.written: list[TrackUpdates] = []
        self.child: Child | None = None

    @property
    def parties(self) -> Parties:
        return Parties("north", "south", Mode[self.mode.upper()])

    def agree(self, valid_s: float = 3600.0, **changes: Any) -> str:
        now_ns = time.time_ns()
        since = iso_from_ns(now_ns - 3600 * 10**9)
        end = iso_from_ns(now_ns + int(valid_s * 1e9))
        content = text(since=since, until=end, mode=self.mode, **changes)
        temporary = self.agreement.with_suffix(".new")
        temporary.write_text(content)
        temporary.replace(self.agreement)
        return content

    def start(self) -> "GivingNode":
        arguments = [str(self.site), "south"]
        self.child = Child.python("publisher", "vedette.publishing", arguments, log=self.log)
        return self

    def fuse(self, tracks: int = 10, place=INSIDE, **columns: Any) -> TrackUpdates:
        """One more output: an update of each of some tracks."""
        self.through += 1
        self.revision += 1
        rows = updates(tracks, known=time.time_ns(), valid=time.time_ns(), revision=self.revision)
        rows.mode[:] = self.parties.mode
        rows.known_offset[:] = self.through
        rows.n[:] = np.arange(tracks)
        rows.state[:, :2] = np.radians(place)
        rows.state[:, 3] = self.revision
        for name, value in columns.items():
            getattr(rows, name)[:] = value
        batch = OutputBatch(self.through, self.through, ("radar-1",), Detections.empty(), rows)
        payload = pack_output(batch)
        self.outputs.append([(Kind.OUTPUT, time.time_ns(), "", payload, 0)])
        self.written.append(rows)
        return rows

    def written_keys(self) -> list[tuple[int, int]]:
        rows = TrackUpdates.concat(self.written)
        return list(zip(rows.known_offset.tolist(), rows.n.tolist(), strict=True))

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def status(self) -> Any:
        path = self.data / "partners" / "south.status.json"
        return json.loads(path.read_text()) if path.exists() else {"agreements": {}}

    def lane(self, name: str = "a-1") -> Any:
        return self.status()["agreements"].get(name, {})

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def ledger(self, name: str = "a-1") -> list[Any]:
        """(seq, known offset, n, why) of every row given; the publisher must have ended."""
        with Ledger(self.data / "partners" / "south" / name, self.parties, name) as ledger:
            return [
                (entry.first + i, int(entry.known_offset[i]), int(entry.n[i]), int(entry.why[i]))
                for entry in ledger.read(1, ledger.last)
                for i in range(len(entry))
            ]

    def verified(self, name: str = "a-1") -> Verified:
        return verify(self.data / "partners" / "south" / name, self.parties, name)

    def stop(self) -> None:
        if self.child is not None:
            child, self.child = self.child, None
            assert child.terminate(8.0) == 0, self.log_text()

    def __enter__(self) -> "GivingNode":
        return self

    def __exit__(self, *_: object) -> None:
        if self.child is not None:
            self.child.kill()
        self.outputs.close()


class Listener:
    """A plain subscriber: keeps every message."""

    def __init__(self, broker: LocalBroker, user: str, *filters: str) -> None:
        self.messages: list[Any] = []
        settings = ClientSettings(
            broker.host, broker.port, user, username=user, password=USERS[user], protocol="5"
        )
        self.subscriber = Subscriber(settings, filters, self._take)

    def _take(self, batch) -> None:
        for message in batch.messages:
            self.took(message)
        self.subscriber.ack(batch.tokens)

    def took(self, message) -> None:
        self.messages.append(message)

    def __enter__(self) -> Any:
        self.subscriber.start()
        assert self.subscriber.wait_subscribed(WAIT_S), self.subscriber.status
        return self

    def __exit__(self, *_: object) -> None:
        assert self.subscriber.stop(5.0)
        assert self.subscriber.failed is None


class TakingNode(Listener):
    """The node *south*, as its core will do it: everything to a `Receiver`, acks now and then."""

    def __init__(self, broker: LocalBroker, agreement: str, mode: str = "live") -> None:
        root = "vedette-exercise" if mode == "exercise" else "vedette"
        topic = f"{root}/north/shared/south/+"
        super().__init__(broker, "south", f"{topic}/live", f"{topic}/backfill")
        agreed = parse_agreement(agreement, "south.toml")
        self.receiver = Receiver({"north": agreed}, "south", Mode[mode.upper()])
        self.parts: list[ForeignUpdates] = []
        self.refused: list[Any] = []
        self.lock = threading.Lock()
        self._stopping = threading.Event()
        self._acks = threading.Thread(target=self._acking, daemon=True)

    def took(self, message) -> None:
        super().took(message)
        with self.lock:
            offset = len(self.messages)
            found = self.receiver.take(message.payload, message.topic, message.received_ns, offset)
            self.parts.append(found.rows)
            self.refused += found.refused

    def _acking(self) -> None:
        while not self._stopping.wait(ACK_S):
            with self.lock:
                topic, ack = self.receiver.ack_message("north")
            self.subscriber.publish(topic, encode_back(ack))

    def __enter__(self) -> "TakingNode":
        super().__enter__()
        self._acks.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._acks.join()
        super().__exit__()

    @property
    def rows(self) -> ForeignUpdates:
        with self.lock:
            return ForeignUpdates.concat(self.parts)

    def ack(self) -> Any:
        with self.lock:
            return self.receiver.ack("north")

    def complete(self, seq: int) -> bool:
        return bool(self.ack()["contiguous"] >= seq)

    def withdrawn(self) -> Counter[int]:
        rows = self.rows.updates
        mask = rows.reason == UpdateReason.WITHDRAWN
        return Counter(rows.track_id[mask].tolist())
