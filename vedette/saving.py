"""`Saver`: snapshots, and outputs made durable, while the core goes on.

A disk takes from a few milliseconds to some tenths of a second to take over what it is given, and
reports must not wait for that. So the state is packed at one moment by the core, and written by
another thread.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from journal.codec import pack
from journal.snapshot import SnapshotStore
from model.errors import JournalFull
from vedette.engine import Engine
from vedette.outputs import OutputLog

log = logging.getLogger("vedette.core")


class Saver:
    """Saves an engine's state, its outputs first; used by one thread.

    Parameters
    ----------
    outputs, snapshots
        Of the node.
    saved
        Called by another thread with each snapshot that is written.
    """

    def __init__(
        self, outputs: OutputLog, snapshots: SnapshotStore, saved: Callable[[], None]
    ) -> None:
        self._outputs = outputs
        self._snapshots = snapshots
        self._saved = saved
        self._pool = ThreadPoolExecutor(1, "snapshots")
        self._saving: Future[None] | None = None
        self._syncing: Future[None] | None = None

    def save(self, engine: Engine) -> None:
        """Begin to save, unless there is no room, or the last snapshot is still being written.

        Raises
        ------
        JournalError
            An earlier one failed.
        """
        self._saving = _unless_done(self._saving)
        if self._saving is not None:
            return
        self._outputs.cover()
        if self._outputs.through + 1 == engine.next_offset:
            state = pack(engine.snapshot())
            self._saving = self._pool.submit(self._save, engine.next_offset, state)

    def sync(self) -> None:
        """Begin to make the outputs durable, so that little is left when a segment is closed.

        Raises
        ------
        JournalError
            An earlier try failed.
        """
        self._syncing = _unless_done(self._syncing)
        if self._syncing is None:
            self._syncing = self._pool.submit(self._outputs.sync)

    def finish(self) -> None:
        """Wait for what is under way.

        Raises
        ------
        JournalError
            It failed.
        """
        for one in (self._syncing, self._saving):
            if one is not None:
                one.result()
        self._syncing = self._saving = None

    def close(self) -> None:
        """End the thread, when it has written what it is writing."""
        self._pool.shutdown()

    def _save(self, offset: int, state: bytes) -> None:
        self._outputs.sync()
        try:
            self._snapshots.put(offset, state)
        except JournalFull as error:
            log.error("snapshot left out: %s", error)  # noqa: TRY400 - one line; it comes again
        else:
            self._saved()


def _unless_done(work: Future[None] | None) -> Future[None] | None:
    """What is still under way; raises what it failed of."""
    if work is None or not work.done():
        return work
    work.result()
    return None
