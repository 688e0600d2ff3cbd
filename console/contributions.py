"""When each sensor last contributed to a track, followed from the track updates. Pure.

An update names the sensors heard last, newest first, but not when; whoever sees every update can
tell: the update of a detection is valid at the time of that detection.
"""

from collections.abc import Mapping

import numpy as np

from model.tracks import Status, TrackUpdates, UpdateReason

HEARD = (UpdateReason.DETECTED, UpdateReason.CONFIRMED)
"""Reasons of an update that a detection made: its first sensor was heard at its valid time."""


class Contributions:
    """Follows the updates of a node; holds at most `model.tracks.MAX_SENSORS` times a track.

    A source that follows the output log gives it every batch, and answers
    `console.source.GivesContributions` out of it.
    """

    def __init__(self) -> None:
        self._heard: dict[int, dict[int, int]] = {}

    def __len__(self) -> int:
        return len(self._heard)

    def take(self, updates: TrackUpdates) -> None:
        """Take in updates in the order in which they became known."""
        made = np.isin(updates.reason, HEARD) & (updates.sensors[:, 0] >= 0)
        ends = updates.status == Status.DELETED
        rows = np.flatnonzero(made | ends)
        for track, sensor, valid, over, row in zip(
            updates.track_id[rows].tolist(),
            updates.sensors[rows, 0].tolist(),
            updates.valid[rows].tolist(),
            ends[rows].tolist(),
            rows.tolist(),
            strict=True,
        ):
            if over:
                self._heard.pop(track, None)
                continue
            times = self._heard.setdefault(track, {})
            times[sensor] = max(valid, times.get(sensor, 0))
            if len(times) > updates.sensors.shape[1]:  # only those that the update still names
                named = set(updates.sensors[row].tolist())
                self._heard[track] = {one: at for one, at in times.items() if one in named}

    def of(self, track_id: int) -> Mapping[int, int]:
        """UTC ns of the last contribution by sensor index; empty: none seen."""
        return dict(self._heard.get(track_id, {}))
