"""From the files of a core that ended, however it ended, to an engine that goes on.

The newest snapshot that does not reach beyond the outputs written is loaded, the journal is run
from there, and of the outputs only what is not in the output log yet is written.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, takewhile

from config import EngineConfig, engine_config
from ingest.shedding import decided
from journal.log import SegmentedLog
from journal.snapshot import SnapshotStore
from model.errors import SnapshotError, VedetteError
from model.ports import Adapter
from model.records import Kind, Record
from vedette.engine import Engine
from vedette.outputs import OutputLog

log = logging.getLogger("vedette.core")

CHUNK = 1_024
"""Records run in one call."""


def chunks(records: Iterable[Record], size: int = CHUNK) -> Iterator[list[Record]]:
    """Records in lists of at most `size`."""
    iterator = iter(records)
    while chunk := list(islice(iterator, size)):
        yield chunk


def recover(
    adapters: Mapping[str, Adapter],
    journal: SegmentedLog,
    outputs: OutputLog,
    snapshots: SnapshotStore,
    stopping: threading.Event,
) -> Engine:
    """An engine behind the last input whose outputs are known to be written.

    What was journaled after that is left to the caller, who holds decoders to their time again:
    an input that killed the core, or froze its decoder, is met there.

    Parameters
    ----------
    adapters
        Decoders by name.
    journal, outputs, snapshots
        Of the node.
    stopping
        Set when the process is asked to end meanwhile; then it returns early.

    Raises
    ------
    VedetteError
        The journal does not reach back to a usable snapshot, or is shorter than its outputs.
    """
    if outputs.through >= journal.end:
        raise VedetteError(
            f"{journal.directory}: ends at {journal.end}, but outputs are known up to the input "
            f"{outputs.through}: this is not the journal that they were made from"
        )
    replaying = Engine(_untimed, adapters)
    offset = _start(replaying, journal, outputs, snapshots)
    shed = [
        decision
        for record in journal.read(offset)
        if record.kind == Kind.SHED
        for decision in decided(record.payload, record.offset)
    ]
    for decision in shed:
        replaying.shed(*decision)
    known = takewhile(lambda record: record.offset <= outputs.through, journal.read(offset))
    for records in chunks(known):
        if stopping.is_set():
            break
        replaying.process(records)
    log.info("recovered from=%d to=%d", offset, replaying.next_offset)
    engine = Engine(engine_config, adapters)
    engine.restore(replaying.snapshot())
    for decision in shed:
        if decision[0] >= engine.next_offset:
            engine.shed(*decision)
    return engine


def _start(
    engine: Engine, journal: SegmentedLog, outputs: OutputLog, snapshots: SnapshotStore
) -> int:
    """Load the newest usable snapshot; returns the offset of the first input to run."""
    snapshot = snapshots.load(at_most=outputs.through + 1)
    for damaged in snapshots.damaged:
        log.error("snapshot skipped: %s", damaged.problem)
    if snapshot is None:
        if journal.start > 0:
            raise VedetteError(
                f"{journal.directory}: begins at {journal.start}, and no snapshot in "
                f"{snapshots.directory} helps to go on from the outputs of input {outputs.through}"
            )
        return 0
    offset, state = snapshot
    if offset < journal.start:
        raise VedetteError(
            f"{journal.directory}: begins at {journal.start}, behind the newest usable snapshot "
            f"({offset})"
        )
    try:
        engine.restore(state)
    except SnapshotError as error:
        if journal.start > 0:
            raise
        log.warning("snapshot not used, the whole journal is run again: %s", error)
        return 0
    return offset


def _untimed(payload: bytes) -> EngineConfig:
    """Configuration of a replay: what ran out of time then is journaled, nothing else may now."""
    return replace(engine_config(payload), decode_timeout_s=0.0)
