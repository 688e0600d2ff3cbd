"""Releasability: which updates an agreement lets out, why not, and in what form.

Every row is decided by itself, many at once. What follows from their order (a track that the
partner holds and may not follow any further) is found in `sharing.closing`.
"""

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from model.arrays import Array, Bools
from model.detections import IdentityKind, Mode
from model.taxonomy import CLASSES, HUMAN, N_CLASSES, UNKNOWN
from model.time import iso_from_ns
from model.tracks import ABOUT_IDENTITY, SCHEMA, Status, TrackUpdates, UpdateReason
from sharing.agreement import Agreement
from sharing.area import excluded_area, released_area


class Refusal(IntEnum):
    """Why a row is not released; where several hold, the first of them is named."""

    NONE = 0
    """It is released."""
    NO_AGREEMENT = 1
    """There is no agreement, or its file has mistakes."""
    OTHER_PARTY = 2
    """The agreement is between other nodes."""
    WRONG_MODE = 3
    """The update or the agreement is of an exercise and the node is live, or the reverse."""
    NOT_YET_VALID = 4
    """Now, or when the update became known, the agreement was not in force yet."""
    EXPIRED = 5
    """Now, or when the update became known, it was not in force any more."""
    TENTATIVE = 6
    """The track is not confirmed."""
    NO_POSITION = 7
    """The update says nothing of where, or nonsense."""
    CLASS = 8
    """Its most probable class is not listed."""
    EXISTENCE = 9
    """Its existence is below `min_existence`, or not given."""
    OUTSIDE = 10
    """It lies in none of the released areas."""
    EXCLUDED = 11
    """It lies in an excluded area."""
    IDENTITY = 12
    """It carries an identity that may not be given (found on rows in their final form only)."""
    GAP = 13
    """Updates were lost before the publisher read them: the partner's picture is not kept up."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who gives to whom, as a process knows it from its site file.

    Parameters
    ----------
    giver, receiver
        Names of the nodes.
    mode
        Of both.
    """

    giver: str
    receiver: str
    mode: Mode = Mode.LIVE


def release(
    updates: TrackUpdates, agreement: Agreement | None, now_ns: int, parties: Parties
) -> Bools:
    """Which updates may be given now, (U,) bool; what nothing allows is not.

    Parameters
    ----------
    updates
        As fusion gave them.
    agreement
        What was agreed; None: nothing.
    now_ns
        The clock, UTC ns.
    parties
        Who is about to give to whom.
    """
    mask: Bools = refusals(updates, agreement, now_ns, parties) == Refusal.NONE
    return mask


def refusals(
    updates: TrackUpdates, agreement: Agreement | None, now_ns: int, parties: Parties
) -> Array:
    """(U,) uint8, `Refusal` of each update; parameters as of `release`."""
    codes = np.zeros(len(updates), dtype=np.uint8)
    if agreement is None:
        codes[:] = Refusal.NO_AGREEMENT
        return codes
    if (agreement.giver, agreement.receiver) != (parties.giver, parties.receiver):
        codes[:] = Refusal.OTHER_PARTY
        return codes
    if agreement.mode != parties.mode:
        codes[:] = Refusal.WRONG_MODE
        return codes
    since, until = agreement.valid_from_ns, agreement.valid_until_ns
    if not len(updates):
        return codes
    for refusal, refused in (
        (Refusal.WRONG_MODE, updates.mode != parties.mode),
        (Refusal.NOT_YET_VALID, (updates.known < since) | (now_ns < since)),
        (Refusal.EXPIRED, (updates.known >= until) | (now_ns >= until)),
        (Refusal.TENTATIVE, updates.status == Status.TENTATIVE),
        (Refusal.NO_POSITION, ~placed(updates)),
        (Refusal.CLASS, ~_class_listed(updates.classes, agreement.classes)),
        # NaN is below everything here: what is not given is not enough.
        (Refusal.EXISTENCE, ~(updates.existence >= agreement.min_existence)),
    ):
        _put(codes, refused, refusal)
    rest = np.flatnonzero(codes == Refusal.NONE)
    points = updates.state[rest, :2]
    inside = np.zeros(len(rest), dtype=np.bool_)
    for polygon in agreement.areas:
        inside |= released_area(points, polygon)
    forbidden = np.zeros(len(rest), dtype=np.bool_)
    for polygon in agreement.excludes:
        forbidden |= excluded_area(points, polygon)
    codes[rest[~inside]] = Refusal.OUTSIDE
    codes[rest[inside & forbidden]] = Refusal.EXCLUDED
    return codes


def recheck(
    rows: TrackUpdates, agreement: Agreement | None, now_ns: int, parties: Parties
) -> Array:
    """(U,) uint8: `refusals` of rows in their final form, which must not hold an identity either.

    Nor say that there is one: a doubt about an identity is given to those who are given identities.
    Both sides ask this once more: the giver when it sends, the receiver when it takes.
    """
    codes = refusals(rows, agreement, now_ns, parties)
    if agreement is not None:
        named = says_identity(rows)
        if agreement.share_identity:
            named &= may_be_human(rows.classes)
        _put(codes, named, Refusal.IDENTITY)
    return codes


def transform(rows: TrackUpdates, agreement: Agreement) -> TrackUpdates:
    """Released rows in the form in which they are given.

    No sensors, no offsets, no identity unless agreed, and never one of what may be a human; nor
    that an identity is doubted, which becomes a plain detection.
    """
    given = TrackUpdates(**{name: getattr(rows, name).copy() for name in SCHEMA})
    for name in ("known_offset", "n", "sensors"):
        getattr(given, name)[:] = SCHEMA[name].fill
    hidden = may_be_human(rows.classes)
    if not agreement.share_identity:
        hidden[:] = True
    given.identity_kind[hidden] = IdentityKind.NONE
    given.identity[hidden] = b""
    given.reason[hidden & np.isin(given.reason, ABOUT_IDENTITY)] = UpdateReason.DETECTED
    return given


def says_identity(rows: TrackUpdates) -> Bools:
    """(U,) bool: which rows carry an identity, or say that one is doubted or is so no longer."""
    named = (rows.identity_kind != IdentityKind.NONE) | (rows.identity != b"")
    mask: Bools = named | np.isin(rows.reason, ABOUT_IDENTITY)
    return mask


def placed(updates: TrackUpdates) -> Bools:
    """(U,) bool: which updates have a place on the globe."""
    latitude, longitude = updates.state[:, 0], updates.state[:, 1]
    mask: Bools = (np.abs(latitude) <= np.pi / 2) & (np.abs(longitude) <= 2 * np.pi)
    return mask


def may_be_human(classes: Array) -> Bools:
    """(U,) bool: among the most probable classes is *human*."""
    mask: Bools = _most_probable(classes)[:, HUMAN]
    return mask


def _class_listed(classes: Array, listed: tuple[int, ...]) -> Bools:
    """Whether the most probable class is listed; of equally probable ones all must be."""
    strange = np.ones(N_CLASSES, dtype=np.bool_)
    strange[list(listed)] = False
    other = (_most_probable(classes) & strange).any(axis=1) | ~np.isfinite(classes).all(axis=1)
    mask: Bools = np.logical_not(other)
    return mask


def _most_probable(classes: Array) -> Bools:
    """(U, K) bool: the most probable classes of each row; nothing said: *unknown*."""
    highest = classes.max(axis=1, keepdims=True) if len(classes) else classes
    top: Bools = np.asarray((classes == highest) & (classes > 0), dtype=np.bool_)
    top[~top.any(axis=1), UNKNOWN] = True
    return top


def _put(codes: Array, refused: Array, refusal: Refusal) -> None:
    codes[refused & (codes == Refusal.NONE)] = refusal


def count(codes: Array) -> dict[str, int]:
    """How many rows were refused, by reason."""
    found = Counter(codes[codes != Refusal.NONE].tolist())
    return {Refusal(code).name.lower(): rows for code, rows in sorted(found.items())}


def explain(
    update: TrackUpdates, agreement: Agreement | None, now_ns: int, parties: Parties
) -> tuple[Refusal, str]:
    """Why one update is released or not, with a sentence for a person.

    Parameters
    ----------
    update
        One row.
    agreement, now_ns, parties
        As of `release`.
    """
    if len(update) != 1:
        raise ValueError(f"explain takes one update, not {len(update)}")
    refusal = Refusal(int(refusals(update, agreement, now_ns, parties)[0]))
    if agreement is None:
        return refusal, f"no agreement lets {parties.giver} give to {parties.receiver}"
    known = iso_from_ns(max(0, int(update.known[0])))
    top = [CLASSES[i] for i in np.flatnonzero(_most_probable(update.classes)[0])]
    listed = ", ".join(CLASSES[i] for i in agreement.classes)
    latitude, longitude = np.degrees(update.state[0, :2])
    place = f"{latitude:.5f}, {longitude:.5f}"
    return refusal, {
        Refusal.NONE: f"released under {agreement.id}",
        Refusal.OTHER_PARTY: f"{agreement.id} lets {agreement.giver} give to "
        f"{agreement.receiver}, not {parties.giver} to {parties.receiver}",
        Refusal.WRONG_MODE: f"the node is in mode {parties.mode.name.lower()}, the agreement is "
        f"for {agreement.mode.name.lower()}, the update's mode is {int(update.mode[0])}",
        Refusal.NOT_YET_VALID: f"{agreement.id} is valid from "
        f"{iso_from_ns(agreement.valid_from_ns)}; known {known}, now {iso_from_ns(now_ns)}",
        Refusal.EXPIRED: f"{agreement.id} was valid until "
        f"{iso_from_ns(agreement.valid_until_ns)}; known {known}, now {iso_from_ns(now_ns)}",
        Refusal.TENTATIVE: "the track is tentative",
        Refusal.NO_POSITION: f"the position {place} is none",
        Refusal.CLASS: f"class {' or '.join(top)} is not among {listed}",
        Refusal.EXISTENCE: f"existence {float(update.existence[0]):.3f} is below "
        f"{agreement.min_existence}",
        Refusal.OUTSIDE: f"{place} lies in none of the released areas",
        Refusal.EXCLUDED: f"{place} lies in an excluded area",
    }[refusal]
