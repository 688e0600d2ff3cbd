"""What fusion did with reports and detections, counted."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What fusion did with reports and detections since it began.

    Parameters
    ----------
    reports, detections
        Fused.
    late
        Reports older than one fused before.
    stood
        Those of them that were taken in where they stand; the others were inserted at their time.
    too_late
        Reports older than the history that is kept; stored, not fused.
    refused
        Detections that no region or no covariance could be found for, or outside the region.
    """

    reports: int = 0
    detections: int = 0
    late: int = 0
    stood: int = 0
    too_late: int = 0
    refused: int = 0
