"""What a report did to the table."""

from dataclasses import dataclass, field

from fusion.table import TrackTable
from model.arrays import Array, Bools
from model.tracks import UpdateReason


@dataclass(slots=True)
class Outcome:
    """What one report did.

    Parameters
    ----------
    touched
        Why each track that changed did so (`UpdateReason`), by track id; the last word counts.
    deleted
        Ids of tracks that left the table.
    """

    touched: dict[int, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)

    def add(self, ids: Array, reason: UpdateReason) -> None:
        """Note that tracks changed."""
        self.touched.update(dict.fromkeys(ids.tolist(), int(reason)))


def remove(table: TrackTable, mask: Bools, outcome: Outcome) -> None:
    """Delete rows, remembering their ids."""
    if not mask.any():
        return
    gone = table.track_id[mask]
    outcome.add(gone, UpdateReason.LOST)
    outcome.deleted.extend(gone.tolist())
    table.keep(~mask)
