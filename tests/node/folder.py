"""A node's data folder, made by hand: journal, outputs, snapshots, cursors, receipts."""

from pathlib import Path
from typing import Any

from config import Site, load_site
from ingest.routes import wrap
from journal.codec import pack_output
from journal.log import SegmentedLog
from journal.snapshot import SnapshotStore
from link.connection import LinkStatus
from model.detections import Detections
from model.ports import OutputBatch
from model.records import Kind
from model.tracks import TrackUpdates
from tests.node.site import write_site
from vedette.receipting import Receipts
from vedette.retention import StoredMarks

FRAMED = "vedette/north/sensors/radar-1/framed"
START_NS = 1_700_000_000_000_000_000
SEGMENT_BYTES = 4_000


class FakePublisher:
    """Takes what is published, while it is connected."""

    def __init__(self) -> None:
        self.status = LinkStatus(connected=True, epoch=1)
        self.refused_publications = 0
        self.published: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        assert (qos, retain) == (1, True)
        if self.status.connected:
            self.published.append((topic, payload))
        return self.status.connected


def frame_rows(first: int, count: int, boot: str = "b1") -> list[Any]:
    """Journal rows of frames with these numbers, a second apart."""
    return [
        (
            Kind.MESSAGE,
            START_NS + seq * 1_000_000_000,
            FRAMED,
            wrap(boot, seq, START_NS + seq, b"report %d" % seq),
            1,
        )
        for seq in range(first, first + count)
    ]


def output_row(first: int, through: int) -> Any:
    batch = OutputBatch(first, through, ("radar-1",), Detections.empty(), TrackUpdates.empty())
    return (Kind.OUTPUT, START_NS, "", pack_output(batch), 0)


class Folder:
    """Written by a node that took `frames` frames in and told its receipts."""

    def __init__(self, path: Path, frames: int = 200) -> None:
        self.site: Site = load_site(write_site(path))
        self.data = self.site.data_dir
        self.publisher = FakePublisher()
        with SegmentedLog(self.data / "journal", segment_bytes=SEGMENT_BYTES) as journal:
            payload = self.site.engine_payload()
            journal.append([(Kind.CONFIG, START_NS, "", payload, 0)])
            for first in range(0, frames, 10):
                journal.append(frame_rows(first, 10))
            journal.sync()
            receipts = Receipts(self.site, journal, self.publisher)
            receipts.round()
            receipts.stop(1.0)
            self.end = journal.end
        with SegmentedLog(self.data / "outputs", segment_bytes=SEGMENT_BYTES) as outputs:
            for first in range(0, self.end, 10):
                outputs.append([output_row(first, min(first + 10, self.end) - 1)])
            self.outputs_end = outputs.end
        snapshots = SnapshotStore(self.data / "snapshots")
        for offset in (50, 100, 150):
            snapshots.save(offset, {"payload": payload, "n": offset})
        StoredMarks(self.data).save(180, self.outputs_end)

    def segments(self, log: str = "journal") -> list[Path]:
        return sorted((self.data / log).glob("*.seg"))

    def flip(self, path: Path, byte: int) -> None:
        data = bytearray(path.read_bytes())
        data[byte] ^= 0x10
        path.write_bytes(data)

    def files(self) -> dict[Path, bytes]:
        """Every file as it is."""
        return {path: path.read_bytes() for path in self.data.rglob("*") if path.is_file()}
