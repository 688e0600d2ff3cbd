"""The classes of movers.

Labels are those of the SAPIENT taxonomy (BSI Flex 335 v2, annex on detection classes) in lower
case with underscores, where it has a word. A *class* says what kind of thing moves; it never
says who: a `human` carries no identity anywhere in this program.
"""

import numpy as np
from numpy.typing import NDArray

CLASSES: tuple[str, ...] = (
    "human",
    "animal",
    "land_vehicle",
    "air_vehicle",
    "uav",
    "sea_vessel",
    "other",
    "unknown",
)
"""Order of the columns of every class array; append only, never reorder."""

CLASS_INDEX: dict[str, int] = {label: index for index, label in enumerate(CLASSES)}

N_CLASSES = len(CLASSES)
HUMAN = CLASS_INDEX["human"]
UNKNOWN = CLASS_INDEX["unknown"]

_SYNONYMS = {
    "person": "human",
    "pedestrian": "human",
    "vehicle": "land_vehicle",
    "car": "land_vehicle",
    "truck": "land_vehicle",
    "aircraft": "air_vehicle",
    "drone": "uav",
    "uas": "uav",
    "vessel": "sea_vessel",
    "boat": "sea_vessel",
    "ship": "sea_vessel",
}


def class_index(label: str) -> int:
    """Column of a label; labels that the taxonomy lacks fall to ``other``.

    Parameters
    ----------
    label
        A SAPIENT label in any case, with blanks or underscores; of a dotted label
        (``Air Vehicle.UAV Rotary Wing``) the most specific known part counts.

    Returns
    -------
    int
        Index into `CLASSES`.
    """
    for part in reversed(label.split(".")):
        name = part.strip().lower().replace(" ", "_").replace("-", "_")
        if name.startswith("uav"):
            name = "uav"
        name = _SYNONYMS.get(name, name)
        if name in CLASS_INDEX:
            return CLASS_INDEX[name]
    return CLASS_INDEX["other"]


def one_hot(label: str) -> NDArray[np.float32]:
    """Class row, shape (K,), with certainty for one label."""
    row = np.zeros(N_CLASSES, dtype=np.float32)
    row[class_index(label)] = 1.0
    return row
