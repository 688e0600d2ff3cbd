"""What a node lets go of: journal and outputs that nobody needs any more, when room gets short.

Only storage and the oldest snapshot hold the journal back. As long as there is room everything is
kept, since a journal from its beginning can be tracked again by anybody.
"""

import logging
from pathlib import Path

from journal.cursor import Cursor
from journal.log import SegmentedLog
from journal.snapshot import SnapshotStore

log = logging.getLogger("vedette.core")

HIGH_WATER = 0.8
"""Part of the budget above which whole segments are let go."""

STEP_BYTES = 256 << 20
"""Let go of each log at once, nearly: deleting 6 GB at once took most of a second, in which nothing
was fused. Every few seconds this is several times what a full machine writes."""


class StoredMarks:
    """How far serve has stored, in two files of the node's data folder.

    Parameters
    ----------
    data_dir
        The node's.
    """

    def __init__(self, data_dir: Path) -> None:
        self.inputs = Cursor(data_dir / "cursors" / "storage-inputs")
        self.outputs = Cursor(data_dir / "cursors" / "storage-outputs")

    def save(self, next_input: int, next_output: int) -> None:
        """Everything below these offsets of journal and output log is in the database."""
        self.outputs.save(next_output)
        self.inputs.save(next_input)


def let_go(
    journal: SegmentedLog,
    outputs: SegmentedLog,
    snapshots: SnapshotStore,
    marks: StoredMarks,
    budget_bytes: int,
) -> int:
    """Release what is stored and behind the oldest snapshot, as far as a log nears its budget.

    Parameters
    ----------
    journal, outputs
        The core's own logs.
    snapshots, marks
        What still needs them.
    budget_bytes
        Of each log.

    Returns
    -------
    int
        Bytes released.
    """
    released = 0
    oldest, stored = snapshots.oldest, marks.inputs.load()
    if oldest is not None and stored is not None:
        released += journal.release(min(oldest, stored), _over(journal, budget_bytes))
    written = marks.outputs.load()
    if written is not None:
        released += outputs.release(written, _over(outputs, budget_bytes))
    if released:
        log.info(
            "let go bytes=%d journal_start=%d outputs_start=%d",
            released,
            journal.start,
            outputs.start,
        )
    return released


def _over(one: SegmentedLog, budget_bytes: int) -> float:
    """How much of a log is to be let go now, bytes."""
    return min(one.size_bytes - HIGH_WATER * budget_bytes, STEP_BYTES)
