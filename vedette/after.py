"""The part of outputs that is not known yet; apart from the engine, which is slow to import."""

import numpy as np

from model.ports import OutputBatch


def after(batch: OutputBatch, through: int) -> OutputBatch:
    """The part of a batch that inputs behind `through` gave.

    Parameters
    ----------
    batch
        Outputs of a run of inputs.
    through
        Last input whose outputs are already known.
    """
    if through < batch.first:
        return batch
    keep = np.flatnonzero(batch.detections.offset > through)
    return OutputBatch(
        first=through + 1,
        through=batch.through,
        sensor_ids=batch.sensor_ids,
        detections=batch.detections.take_reports(keep),
        updates=batch.updates.take(batch.updates.known_offset > through),
        quarantined=tuple(item for item in batch.quarantined if item.offset > through),
        published_ns=batch.published_ns,
        foreign=batch.foreign.take(batch.foreign.updates.known_offset > through),
    )
