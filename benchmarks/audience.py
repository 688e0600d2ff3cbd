"""Who reads a node under load: partners that take what they are given, and pages that are watched.

One process plays all of them, so that what it costs can be told from what the node costs.
"""

import argparse
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np
from websockets.sync.client import connect

from console.feed import HEADER, decode
from link.client import Subscriber
from link.messages import Received
from link.settings import ClientSettings
from model.detections import Mode
from model.errors import LinkError
from sharing.agreement import Agreement, parse_agreement
from sharing.answers import Ack, encode_back
from sharing.receive import Receiver
from sharing.rows import DIGEST_BYTES
from sharing.wire import Shared
from vedette.local.process import watch_parent

ACK_S = 0.5
"""Pause between two answers of a partner, s, as a node answers."""

TOLD_S = 1.0
"""Pause between two notes of what has come, s."""

CONNECT_S = 20.0


class Heads(msgspec.Struct):
    """What of a message of rows tells which they are (`sharing.wire`)."""

    first: int
    count: int
    after: bytes


class Skimmer:
    """Takes a partner's messages by their heads, and answers as its node would.

    A partner's node has a machine of its own. What it computes here would be taken from the node
    that is measured.

    Parameters
    ----------
    agreement
        Under which rows come.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement.id
        self._topic = Shared(
            Mode.LIVE, agreement.giver, agreement.receiver, agreement.id, "ack"
        ).topic
        self._decoder = msgspec.msgpack.Decoder(Heads)
        self._through, self._head = 0, bytes(DIGEST_BYTES)
        self._further: dict[int, Heads] = {}

    def take(self, payload: bytes) -> int:
        """Note one message; returns its rows, 0 where they had come before."""
        heads = self._decoder.decode(payload)
        if heads.first <= self._through or heads.first in self._further:
            return 0
        self._further[heads.first] = heads
        while (following := self._further.pop(self._through + 1, None)) is not None:
            self._through += following.count
            self._head = following.after
        return heads.count

    def ack(self) -> tuple[str, Ack]:
        """Topic and answer."""
        gaps, through = [], self._through
        for first in sorted(self._further):
            gaps.append((through + 1, first - 1))
            through = first + self._further[first].count - 1
        return self._topic, Ack(self._agreement, self._through, through, gaps, self._head.hex())


class Partner:
    """One partner's connection to our broker; takes everything, answers, keeps nothing.

    Parameters
    ----------
    settings
        Our broker.
    agreement
        Under which it is given.
    whole
        Whether every row is taken as the partner's node takes it: one partner does that to prove
        the rows, of the others' messages only the heads are read.
    """

    def __init__(self, settings: ClientSettings, agreement: Agreement, *, whole: bool) -> None:
        self._giver = agreement.giver
        self._receiver = Receiver({agreement.giver: agreement}, agreement.receiver, Mode.LIVE)
        self._skimmer = None if whole else Skimmer(agreement)
        self._lock = threading.Lock()
        topic = f"vedette/{agreement.giver}/shared/{agreement.receiver}/+"
        self.subscriber = Subscriber(settings, [f"{topic}/live", f"{topic}/backfill"], self._take)
        self.rows = self.refused = 0

    def _take(self, batch: Received) -> None:
        with self._lock:
            for message in batch.messages:
                if self._skimmer is not None:
                    self.rows += self._skimmer.take(message.payload)
                    continue
                found = self._receiver.take(
                    message.payload, message.topic, message.received_ns, self.rows
                )
                self.rows += len(found.rows)
                self.refused += len(found.refused)
        self.subscriber.ack(batch.tokens)

    def answer(self) -> None:
        """Tell the giver what has arrived."""
        with self._lock:
            if self._skimmer is not None:
                topic, ack = self._skimmer.ack()
            else:
                topic, ack = self._receiver.ack_message(self._giver)
        self.subscriber.publish(topic, encode_back(ack))


class Page:
    """One page: reads the feed and answers, as the script of the page does.

    Parameters
    ----------
    url
        Address of the node's page.
    whole
        Whether all of each message is decoded, and not its head alone: one page does that to prove
        the messages, the browsers of the others would have machines of their own for it.
    """

    def __init__(self, url: str, *, whole: bool) -> None:
        self._whole = whole
        parts = urlsplit(url)
        self._url = f"ws://{parts.netloc}/feed"
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.messages = self.bytes = self.tracks = 0
        self.failed = ""
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _read(self) -> None:
        try:
            with connect(
                self._url,
                additional_headers={"Origin": self._origin},
                max_size=None,
                ping_interval=None,
                open_timeout=CONNECT_S,
            ) as socket:
                for data in socket:
                    assert isinstance(data, bytes)
                    if self._whole:
                        decode(data)
                    head = np.frombuffer(data, HEADER, 1)[0]
                    self.messages += 1
                    self.bytes += len(data)
                    self.tracks += int(head["heads"])
                    socket.send(int(head["sequence"]).to_bytes(4, "little"))
        except Exception as error:  # noqa: BLE001 - told in the outcome
            self.failed = f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read until the parent ends; what came is written to a file every second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audience")
    parser.add_argument("out", type=Path, help="file for what came, JSON")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--page", required=True, help="address of the node's page")
    parser.add_argument("--pages", type=int, default=0)
    parser.add_argument("--agreement", type=Path, action="append", default=[], help="a partner's")
    args = parser.parse_args(arguments)
    watch_parent()
    gc.freeze()
    partners: list[Partner] = []
    for path in args.agreement:
        agreement = parse_agreement(path.read_text(), str(path))
        settings = ClientSettings(
            args.host, args.port, f"taker-{agreement.receiver}", protocol=args.protocol
        )
        partners.append(Partner(settings, agreement, whole=not partners))
        partners[-1].subscriber.start()
    for partner in partners:
        if not partner.subscriber.wait_subscribed(CONNECT_S):
            raise LinkError(f"a partner cannot subscribe: {partner.subscriber.status}")
    pages = [Page(args.page, whole=number == 0) for number in range(args.pages)]
    for page in pages:
        page.start()
    told = 0.0
    while True:
        time.sleep(ACK_S)
        for partner in partners:
            partner.answer()
        if time.monotonic() >= told:
            told = time.monotonic() + TOLD_S
            _tell(args.out, partners, pages)


def _tell(out: Path, partners: Sequence[Partner], pages: Sequence[Page]) -> None:
    document = {
        "pid": os.getpid(),
        "rows": [partner.rows for partner in partners],
        "refused": sum(partner.refused for partner in partners),
        "messages": [page.messages for page in pages],
        "megabytes": round(sum(page.bytes for page in pages) / 1e6, 1),
        "heads": [page.tracks for page in pages],
        "failed": [page.failed for page in pages if page.failed],
    }
    fresh = out.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    fresh.rename(out)


if __name__ == "__main__":
    sys.exit(main())
