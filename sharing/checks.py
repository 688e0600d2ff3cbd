"""What may never stand in a partner's row, whatever was agreed."""

import numpy as np

from model.arrays import Array, Bools
from model.detections import IdentityKind, Mode
from model.errors import Reason
from model.time import MAX_TIME_NS
from model.tracks import Affiliation, Status, TrackUpdates, UpdateReason
from sharing.closing import is_withdrawal
from sharing.release import may_be_human, says_identity


def row_checks(rows: TrackUpdates, mode: Mode, latest: int) -> list[tuple[Bools, Reason, str]]:
    """Faults of a partner's rows that no agreement excuses.

    Parameters
    ----------
    rows
        (U,) rows as they came; anything may stand in them.
    mode
        Of this node.
    latest
        UTC ns behind which nothing can be known yet.

    Returns
    -------
    list of tuple
        (U,) bool mask, reason, and a word for a person; the first that holds for a row counts.
    """
    withdrawn = is_withdrawal(rows)
    classes, named = rows.classes, says_identity(rows)
    return [
        (rows.mode != mode, Reason.WRONG_MODE, "mode"),
        ((rows.track_id < 1) | (rows.revision < 1), Reason.BAD_FIELD, "track_id or revision"),
        (rows.authority_epoch < 0, Reason.BAD_FIELD, "authority_epoch"),
        (
            (rows.status > max(Status))
            | (rows.reason > max(UpdateReason))
            | (rows.affiliation > max(Affiliation))
            | (rows.identity_kind > max(IdentityKind)),
            Reason.BAD_FIELD,
            "a code that is not known",
        ),
        ((rows.reason == UpdateReason.WITHDRAWN) & ~withdrawn, Reason.BAD_FIELD, "a state"),
        (~_printable(rows.number) | ~_printable(rows.identity), Reason.BAD_FIELD, "a name"),
        (
            np.isinf(rows.state).any(axis=1)
            | np.isinf(rows.covariance).any(axis=1)
            | ~np.isfinite(classes).all(axis=1),
            Reason.NOT_FINITE,
            "state, covariance or classes",
        ),
        (
            ~withdrawn & ~((rows.existence >= 0) & (rows.existence <= 1)),
            Reason.OUT_OF_RANGE,
            "existence",
        ),
        (
            (classes < 0).any(axis=1) | (classes.sum(axis=1) > 1.001),
            Reason.OUT_OF_RANGE,
            "classes",
        ),
        (
            (np.abs(rows.state[:, :2]) > (np.pi / 2, np.pi)).any(axis=1)
            | (np.abs(rows.state[:, 2]) > 1e6)
            | (np.abs(rows.state[:, 3:]) > 1e5).any(axis=1),
            Reason.OUT_OF_RANGE,
            "state",
        ),
        (
            _outside(rows.valid) | _outside(rows.known) | _outside(rows.stale),
            Reason.OUT_OF_RANGE,
            "a time",
        ),
        ((rows.known > latest) | (rows.valid > latest), Reason.TIME_FUTURE, "known or valid"),
        (named & may_be_human(classes), Reason.HUMAN_IDENTITY, "a human with an identity"),
    ]


def _outside(time: Array) -> Bools:
    mask: Bools = (time < 0) | (time > MAX_TIME_NS)
    return mask


def _printable(names: Array) -> Bools:
    """(U,) bool: names of fixed bytes that are visible ASCII, or empty."""
    data = np.frombuffer(names.tobytes(), np.uint8)
    if _VISIBLE[data].all():  # as a rule, and then no row need be looked at
        return np.ones(len(names), dtype=np.bool_)
    width = names.dtype.itemsize
    mask: Bools = np.asarray(_VISIBLE[data].reshape(len(names), width).all(axis=1))
    return mask


_VISIBLE = np.array([code == 0 or 0x20 < code < 0x7F for code in range(256)])
