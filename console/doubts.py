"""Since when the identity of a track is doubted, followed from the track updates. Pure.

Fusion says it once, at the onset, and once when it is over. Whoever sees every update can tell.
"""

import numpy as np

from model.tracks import ABOUT_IDENTITY, Status, TrackUpdates, UpdateReason


class Doubts:
    """Follows the updates of a node; holds the tracks whose identity is doubted, and no others.

    A source that follows the output log gives it every batch, and answers
    `console.source.GivesDoubts` out of it.
    """

    def __init__(self) -> None:
        self._since: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._since)

    def take(self, updates: TrackUpdates) -> None:
        """Take in updates in the order in which they became known."""
        said = np.isin(updates.reason, ABOUT_IDENTITY) | (updates.status == Status.DELETED)
        for row in np.flatnonzero(said).tolist():
            track = int(updates.track_id[row])
            doubted = updates.reason[row] == UpdateReason.DOUBTED
            if doubted and updates.status[row] != Status.DELETED:
                self._since.setdefault(track, int(updates.valid[row]))
            else:
                self._since.pop(track, None)

    def since(self, track_id: int) -> int | None:
        """UTC ns since when it is doubted; None: it is not, or was so before all that was seen."""
        return self._since.get(track_id)
