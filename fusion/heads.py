"""What was said of each track last, and what must be said next.

Nothing published is rewritten. This store is therefore not rolled back with the table: when a late
report changes the past, the difference between what was said and what is now known becomes a
further update of the same track.
"""

from typing import Any

import numpy as np

from fusion.describe import PLANE, SAID, describe, said_of
from fusion.doubts import reason_of, shown_doubt
from fusion.existence import probability
from fusion.jit import inlined, kernel
from fusion.outbox import Outbox, updates_of
from fusion.records import MODES, NEVER, NOT_TOUCHED, PREDICTED, Record
from fusion.settings import Settings
from fusion.silence import coasts_at
from fusion.table import TrackTable
from model.arrays import Array, Int64s
from model.frames import Region
from model.taxonomy import N_CLASSES
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates, UpdateReason

LETTERS = b"ABCDEFGHJKLMNPQRSTUVWXYZ"
"""First letters of spoken numbers; I and O are left out, they sound and look like 1 and 0."""

NUMBERS = len(LETTERS) * 10_000
"""How many spoken numbers there are."""

LEAST_CLOSED = 64
"""So many closed tracks are kept without asking whether they can be let go."""

_CONFIRMED, _COASTING = int(Status.CONFIRMED), int(Status.COASTING)
_DELETED = int(Status.DELETED)
_COASTED, _LOST = int(UpdateReason.COASTED), int(UpdateReason.LOST)


def spoken_number(serial: int) -> bytes:
    """A letter and four digits; the same comes again after 240,000 tracks."""
    serial %= NUMBERS
    return b"%c%04d" % (LETTERS[serial // 10_000], serial % 10_000)


def plane_record(region: Region) -> Array:
    """(1,) `fusion.describe.PLANE` of a region."""
    record = np.zeros(1, PLANE)
    record["origin"], record["rotation"] = region.origin, region.rotation
    record["vertical"], record["meridian"] = region.curvature
    record["latitude"], record["longitude"] = region.latitude, region.longitude
    return record


class Heads:
    """The last update of every track published, slot by slot.

    Parameters
    ----------
    region
        The plane that tables are in.
    settings
        Constants.
    """

    def __init__(self, region: Region, settings: Settings) -> None:
        self.settings = settings
        self.serial = 0
        self._plane = plane_record(region)
        self._slot: dict[int, int] = {}
        self._said = np.zeros(LEAST_CLOSED, SAID)
        self._count = 0
        self._closed = 0
        self._ask_again_ns = -(1 << 62)

    def __len__(self) -> int:
        """How many tracks something was said of that may still come back."""
        return self._count

    def move(self, region: Region) -> None:
        """Tables are in another plane from now on."""
        self._plane = plane_record(region)

    def publish(
        self, table: TrackTable, why: Array, now_ns: int, valid_ns: int, newest_ns: int,
        sensors: Array, outbox: Outbox,
    ) -> None:  # fmt: skip
        """Put updates that are due into an outbox.

        First tracks that are shown, then those that are closed, each in order of birth.

        Parameters
        ----------
        table
            The tracks.
        why
            (count or more,) why each row changed, `UpdateReason` or `NOT_TOUCHED`.
        now_ns, valid_ns, newest_ns
            The clock, the time that updates shall be about, and that of the newest report.
        sensors
            (S,) `fusion.gathered.SENSOR`.
        outbox
            Added to.
        """
        settings = self.settings.record
        known = (table.rows, table.gone, table.say, table.count, why)
        times = (now_ns, valid_ns, newest_ns)
        due, strange, chosen, closed = _publish(
            known, _ALL, self._said, self._count, times, self._plane, sensors, settings
        )
        if len(strange):
            ids = table.rows["track_id"][strange].tolist()
            table.rows["head"][strange] = self._slots_of(ids)
            due, _, _, closed = _publish(
                known, chosen, self._said, self._count, times, self._plane, sensors, settings
            )
        self._closed += closed
        outbox.add(self._said, due)

    def find_all(self, table: TrackTable) -> None:
        """Find the slots of all tracks of a table that was rolled back."""
        rows = table.alive()
        ids = table.rows["track_id"][rows].tolist()
        table.rows["head"][rows] = [self._slot.get(track, -1) for track in ids]
        table.say[rows] = -(1 << 62)

    def close_absent(self, table: TrackTable, newest_ns: int, outbox: Outbox) -> None:
        """Close tracks that were said to be, and that the table does not hold: they never were."""
        said = self._said[: self._count]
        present = table.rows["track_id"][table.alive()]
        absent = np.flatnonzero(
            (said["status"] != Status.DELETED) & ~np.isin(said["track_id"], present)
        )
        said["status"][absent], said["existence"][absent] = Status.DELETED, 0.0
        said["reason"][absent] = UpdateReason.RETRACTED
        said["revision"][absent] += 1
        said["closed"][absent], said["doubted"][absent] = newest_ns, 0
        self._closed += len(absent)
        outbox.add(self._said, absent)

    def _slots_of(self, track_ids: list[int]) -> list[int]:
        """Slots of tracks, new ones with numbers of their own if nothing was said of them yet."""
        fresh = [track for track in track_ids if track not in self._slot]
        if fresh:
            begin, end = self._count, self._count + len(fresh)
            if end > len(self._said):
                more = np.zeros(max(len(self._said), end - len(self._said)), SAID)
                self._said = np.concatenate([self._said, more])
            heads = self._said[begin:end]
            heads["track_id"], heads["status"], heads["revision"] = fresh, _DELETED, 0
            numbers = b"".join([self._number() for _ in fresh])
            heads["number"] = np.frombuffer(numbers, np.uint8).reshape(len(fresh), -1)
            heads["authority_epoch"], heads["closed"] = 0, -(1 << 62)
            self._slot.update(zip(fresh, range(begin, end), strict=True))
            self._count = end
            self._closed += len(fresh)
        return [self._slot[track] for track in track_ids]

    def _number(self) -> bytes:
        """The next spoken number; from the second lap on, those in use are passed over."""
        taken: set[bytes] = set()
        if self.serial >= NUMBERS:
            here = self._said[: self._count]
            used = np.ascontiguousarray(here["number"][here["status"] != Status.DELETED])
            taken = set(used.view("S5").ravel().tolist())
        while True:
            number = spoken_number(self.serial)
            self.serial += 1
            if number not in taken or len(taken) >= NUMBERS:
                return number

    def last_of(self, track_ids: list[int]) -> Array:
        """(k,) what was said last of those of some tracks that were published."""
        slots = [self._slot[track] for track in track_ids if track in self._slot]
        return self._said[np.array(slots, dtype=np.int64)]

    def adopt(self, said: Array) -> None:
        """Go on with what another tracker said, one authority further.

        Spoken numbers stay unless they are in use here. Doubts are said anew: to other readers.
        """
        for update in said:
            (slot,) = self._slots_of([int(update["track_id"])])
            head = self._said[slot]
            number = head["number"].copy()
            used = self._said["number"][: self._count] == update["number"]
            self._closed -= int(head["status"] == _DELETED)
            epoch = max(int(head["authority_epoch"]), int(update["authority_epoch"])) + 1
            self._said[slot] = update
            head["authority_epoch"], head["closed"] = epoch, -(1 << 62)
            head["basis"] = np.nan  # whatever it is, it is new
            if used.all(axis=1).any():
                head["number"] = number
            self._closed += int(head["status"] == _DELETED)

    def let_go(self, track_ids: list[int]) -> None:
        """Forget tracks that are another's now, without a word."""
        gone = np.isin(self._said["track_id"][: self._count], np.array(track_ids, np.int64))
        self._fill(self._said[: self._count][~gone])

    def forget(self, before_ns: int, newest_ns: int, table: TrackTable) -> None:
        """Let go of closed tracks that nothing can bring back.

        Parameters
        ----------
        before_ns
            Time of the oldest report that may still come.
        newest_ns
            Of the newest report.
        table
            Its tracks stay, shown or not.
        """
        if self._closed * 4 < self._count + LEAST_CLOSED or newest_ns < self._ask_again_ns:
            return
        self._ask_again_ns = newest_ns + NS_PER_S
        said = self._said[: self._count]
        gone = (said["status"] == Status.DELETED) & (said["closed"] < before_ns)
        if int(gone.sum()) * 4 < len(gone) + LEAST_CLOSED:
            return
        gone &= ~np.isin(said["track_id"], table.rows["track_id"][table.alive()])
        self._fill(said[~gone])

    def _fill(self, said: Array) -> None:
        self._count = len(said)
        self._said = np.zeros(max(2 * len(said), LEAST_CLOSED), SAID)
        self._said[: len(said)] = said
        self._closed = int((said["status"] == Status.DELETED).sum())
        self._slot = {track: slot for slot, track in enumerate(said["track_id"].tolist())}

    def snapshot(self) -> dict[str, Any]:
        """Plain data and arrays."""
        said = self._said[: self._count]
        return {
            "serial": self.serial,
            "last": updates_of(said).columns(),
            "basis": said["basis"].copy(),
            "closed": said["closed"].copy(),
            "doubted": said["doubted"].copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave."""
        self.serial = state["serial"]
        said = said_of(TrackUpdates(**{name: np.array(a) for name, a in state["last"].items()}))
        for name in ("basis", "closed", "doubted"):
            said[name] = state[name]
        self._fill(said)


_ALL = np.empty(0, dtype=np.int64)
"""In place of rows chosen before: choose."""

Known = tuple[Array, Int64s, Int64s, int, Array]
Times = tuple[int, int, int]


@kernel
def _publish(
    known: Known, chosen: Int64s, said: Array, slots: int, times: Times, planes: Array,
    sensors: Array, settings: Array,
) -> tuple[Int64s, Int64s, Int64s, int]:  # fmt: skip
    """Say what is due, in place in `said`.

    Returns the slots in which that stands, rows whose slot is not known (then nothing was said),
    rows that were looked at, to be given again once the slots are known, and how many closed.
    """
    rows, gone, say, _, why = known
    now, valid, newest = times
    s, plane = settings[0], planes[0]
    if len(chosen) == 0:
        chosen, strange = _look(known, said, slots, now)
        if len(strange):
            return _none(), strange, chosen, 0
    looked = len(chosen)
    told = np.empty(looked, dtype=np.int64)
    to = np.empty(1, PREDICTED)[0]
    basis, chance = np.empty(6), np.empty(N_CLASSES)
    due = closed = 0
    for n in range(looked):
        row = chosen[n]
        track = rows[row]
        say[row] = NEVER
        if track.status != _CONFIRMED or gone[row] < now:
            continue
        coasts = coasts_at(track, sensors, s)
        status = _COASTING if now > coasts else _CONFIRMED
        say[row] = (gone[row] if status == _COASTING else min(coasts, gone[row])) + 1
        last = said[track.head]
        _basis(track, basis)
        doubt = shown_doubt(track, chance)
        if doubt == last.doubted and not _differs(track, status, basis, last, s):
            continue
        told[due] = track.head
        due += 1
        closed -= last.status == _DELETED
        # Number, affiliation and authority stay as they are.
        describe(track, valid, status, plane, sensors, s, to, last, chance)
        reason = _COASTED if why[row] == NOT_TOUCHED else why[row]
        last.reason = reason_of(reason, doubt, last.doubted)
        last.doubted = doubt
        last.known_offset, last.n, last.known = -1, 0, 0
        last.revision += 1
        for k in range(6):
            last.basis[k] = basis[k]
    for n in range(looked):
        row = chosen[n]
        track = rows[row]
        if track.head < 0 or (track.status == _CONFIRMED and gone[row] >= now):
            continue
        last = said[track.head]
        if last.status == _DELETED:
            continue
        last.status, last.reason, last.existence = _DELETED, _LOST, 0.0
        last.revision += 1
        last.closed, last.doubted = newest, 0  # who comes back is told of anew
        closed += 1
        told[due] = track.head
        due += 1
    return told[:due], _none(), chosen, closed


@kernel
def _none() -> Int64s:
    return np.empty(0, dtype=np.int64)


@kernel
def _look(known: Known, said: Array, slots: int, now: int) -> tuple[Int64s, Int64s]:
    """Rows of which something may have to be said, and those of them whose slot is not known."""
    rows, gone, say, count, why = known
    chosen, strange = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    looked = lacking = 0
    for row in range(count):
        if why[row] == NOT_TOUCHED and say[row] > now:
            continue
        track = rows[row]
        if track.status != _CONFIRMED and track.head < 0:
            say[row] = NEVER  # nothing was said of it, and nothing is to be said
            continue
        if track.head >= 0 and not (
            track.head < slots and said[track.head].track_id == track.track_id
        ):
            track.head = -1
        if track.status == _CONFIRMED and gone[row] >= now and track.head < 0:
            strange[lacking] = row
            lacking += 1
        chosen[looked] = row
        looked += 1
    return chosen[:looked], strange[:lacking]


@inlined
def _basis(track: Record, basis: Array) -> None:
    """What decides whether a track changed: where it is by all modes, and when."""
    for a in range(4):
        basis[a] = 0.0
        for k in range(MODES):
            basis[a] += track.mu[k] * track.x[k, a]
    basis[4], basis[5] = track.P[0, 0], track.time


@inlined
def _differs(track: Record, status: int, basis: Array, last: Record, s: Record) -> bool:
    """Whether what would be said differs from what was said last."""
    if last.status != status or last.revision == 0:
        return True
    for k in range(6):
        if last.basis[k] != basis[k]:
            return True
    rises: bool = abs(last.existence - probability(track.llr)) >= s.publish_existence
    return rises


@kernel
def picture(
    rows: Array, gone: Int64s, count: int, time: int, planes: Array, sensors: Array, settings: Array
) -> Array:
    """(k,) `SAID` of the tracks that are shown, predicted to a time (ns), in order of birth."""
    out = np.zeros(count, SAID)
    to, chance = np.empty(1, PREDICTED)[0], np.empty(N_CLASSES)
    s = settings[0]
    shown = 0
    for row in range(count):
        track = rows[row]
        if track.status == _CONFIRMED and gone[row] >= time:
            status = _COASTING if time > coasts_at(track, sensors, s) else _CONFIRMED
            describe(track, time, status, planes[0], sensors, s, to, out[shown], chance)
            out[shown].known_offset = -1
            shown += 1
    return out[:shown]


@kernel
def census(
    rows: Array, gone: Int64s, count: int, now: int, sensors: Array, settings: Array
) -> tuple[int, int, int]:
    """How many tracks are tentative, confirmed and coasting."""
    tentative = confirmed = coasting = 0
    for row in range(count):
        track = rows[row]
        if track.status == _DELETED or gone[row] < now:
            continue
        if track.status != _CONFIRMED:
            tentative += 1
        elif now > coasts_at(track, sensors, settings[0]):
            coasting += 1
        else:
            confirmed += 1
    return tentative, confirmed, coasting
