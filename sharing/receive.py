"""`Receiver`: partners' bytes in, checked rows and acks out; a pure state machine.

No I/O and no clock: the same inputs in the same order give the same rows and the same acks. What
the agreement does not allow is refused even if it was sent. Foreign rows never become detections.
"""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.arrays import Array, Bools
from model.detections import Mode
from model.errors import Quarantined, Reason
from model.foreign import MAX_HOPS, SCHEMA, ForeignUpdates
from model.time import NS_PER_S, iso_from_ns
from model.tracks import Status, TrackUpdates
from sharing.agreement import Agreement
from sharing.answers import Ack
from sharing.checks import row_checks
from sharing.closing import is_withdrawal, strip
from sharing.foreign_heads import ForeignHeads
from sharing.release import Parties, Refusal, recheck
from sharing.rows import genesis
from sharing.sequence import MAX_RUNS, Sequence
from sharing.wire import LANES, Batch, Refused, Shared, decode_batch, parse_topic

MAX_AHEAD_S = 5.0
"""How far a partner's clock may be ahead of ours, s."""

MAX_TRANSIT_S = 3_600.0
"""How long a message may have been under way by both clocks, s; what waited longer is not taken,
and comes anew by a refill."""

ACK_GAPS = 64
"""Gaps named in an ack; the rest follow when these are filled."""

MAX_STREAMS = 64
"""Agreements of which the state is remembered; of more, those not in use go first."""


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """What one message gave.

    Parameters
    ----------
    rows
        Accepted, in order of arrival.
    refused
        What was not, with the reason.
    giver
        Whom to send an ack; empty: nobody (the message was refused as a whole).
    """

    rows: ForeignUpdates
    refused: tuple[Quarantined, ...] = ()
    giver: str = ""


@dataclass(slots=True)
class _Stream:
    """State of one agreement."""

    sequence: Sequence
    heads: ForeignHeads = field(default_factory=ForeignHeads)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("accepted", "refused", "duplicates", "void"), 0)
    )
    reasons: dict[str, int] = field(default_factory=dict)
    latest_ns: int = 0
    terms: str = ""
    """Digest of the agreement against which what is held was checked last."""

    def refuse(self, refused: "SequenceOf[Quarantined]") -> None:
        """Count what was refused, by reason."""
        for item in refused:
            self.reasons[item.reason] = self.reasons.get(item.reason, 0) + 1


class Receiver:
    """Takes what partners give us.

    Parameters
    ----------
    agreements
        By the name of the giver; a giver without one gives nothing.
    node, mode
        Ours.
    """

    def __init__(
        self, agreements: Mapping[str, Agreement], node: str, mode: Mode = Mode.LIVE
    ) -> None:
        self.node = node
        self.mode = mode
        self._agreements: dict[str, Agreement] = {}
        self._streams: dict[tuple[str, str], _Stream] = {}
        self.refused_messages = 0
        self._now_ns = 0
        self.reconfigure(agreements)

    def reconfigure(self, agreements: Mapping[str, Agreement]) -> None:
        """Put other agreements in force; what has arrived under each is remembered.

        Tracks under one that is not in force any more are closed by the next `expire`, and so are
        those that one of the same name does not cover any more.
        """
        self._agreements = dict(agreements)
        for giver, agreement in self._agreements.items():
            self._stream(giver, agreement.id)

    def _stream(self, giver: str, agreement: str) -> _Stream:
        key = (giver, agreement)
        stream = self._streams.pop(key, None)
        if stream is None:
            stream = _Stream(Sequence(genesis(giver, self.node, agreement)))
        self._streams[key] = stream
        idle = [one for one in self._streams if not self._named(*one)]
        for old in idle[: max(0, len(self._streams) - MAX_STREAMS)]:
            del self._streams[old]
        return stream

    def _named(self, giver: str, agreement: str) -> bool:
        known = self._agreements.get(giver)
        return known is not None and known.id == agreement

    # -- messages

    def take(self, payload: bytes, topic: str, received_ns: int, offset: int) -> Received:
        """Take in one message of a partner's broker.

        Parameters
        ----------
        payload, topic
            As they came.
        received_ns, offset
            Of its journal record.
        """
        self._now_ns = received_ns
        with np.errstate(all="ignore"):  # a partner's NaNs may be of every kind
            return self._take(payload, topic, received_ns, offset)

    def cut(self, topic: str) -> None:
        """Count a message of which the journal has length and digest alone; others name it."""
        known = self._stream_of(topic)
        if known is not None:
            self.refused_messages += 1
            known.reasons[Reason.OVERSIZE] = known.reasons.get(Reason.OVERSIZE, 0) + 1

    def _take(self, payload: bytes, topic: str, received_ns: int, offset: int) -> Received:
        batch = self._open(payload, topic, received_ns)
        if isinstance(batch, Refused):
            self.refused_messages += 1
            whole = Quarantined(offset, -1, "", batch.reason, batch.detail)
            if (known := self._stream_of(topic)) is not None:
                known.refuse([whole])
            return Received(ForeignUpdates.empty(), (whole,))
        agreement = self._agreements[batch.giver]
        stream = self._streams[batch.giver, batch.agreement]
        taken = stream.sequence.take(batch.first, batch.before, batch.heads)
        if taken.broken or taken.crowded:
            self.refused_messages += 1
            reason, detail = Reason.OUT_OF_RANGE, "too many gaps; comes again"
            if taken.broken:
                reason = Reason.BAD_CHAIN
                detail = f"the chain does not hold at row {taken.broken}"
            whole = Quarantined(offset, -1, "", reason, f"{batch.giver}: {detail}")
            stream.refuse([whole])
            return Received(ForeignUpdates.empty(), (whole,), batch.giver)
        counts = stream.counts
        counts["duplicates"] += int((~taken.new).sum())
        counts["void"] += int((taken.new & batch.void).sum())
        usable = taken.new & ~batch.void
        faults, codes = self._faults(batch, agreement, received_ns)
        closing = self._closing(batch, stream, usable, faults, codes)
        faults = [None if over else fault for fault, over in zip(faults, closing, strict=True)]
        refused = []
        for row in np.flatnonzero(usable & np.array([fault is not None for fault in faults])):
            fault = faults[row]
            if fault is not None:
                text = f"{batch.giver} row {batch.first + int(row)}: {fault.detail}"
                refused.append(Quarantined(offset, int(row), "", fault.reason, text))
                usable[row] = False
        index = np.flatnonzero(usable)
        rows = batch.rows.take(index)
        rows.n[:] = index
        strip(rows, closing[index])
        crowded = stream.heads.crowded(rows, batch.first)
        for over in index[crowded].tolist():
            text = f"{batch.giver} row {batch.first + over}: {stream.heads.held} tracks are held"
            refused.append(Quarantined(offset, over, "", Reason.OUT_OF_RANGE, text))
        if crowded.any():
            rows, index = rows.take(~crowded), index[~crowded]
        stream.refuse(refused)
        stream.latest_ns = received_ns
        counts["refused"] += len(refused)
        counts["accepted"] += len(index)
        rows, newest = stream.heads.take(rows, batch.first)
        found = _foreign(
            rows, batch.giver, batch.agreement, batch.first + index, batch.sent_ns, received_ns,
            offset, newest,
        )  # fmt: skip
        return Received(found, tuple(refused), batch.giver)

    def _stream_of(self, topic: str) -> _Stream | None:
        """The stream in force that a topic names; None: it names none."""
        said = parse_topic(topic)
        if said is None or not self._named(said.giver, said.agreement):
            return None
        return self._streams[said.giver, said.agreement]

    def _open(self, payload: bytes, topic: str, received_ns: int) -> Batch | Refused:
        """The batch of a message, if this message may come here and now."""
        said = parse_topic(topic)
        if said is None or said.lane not in LANES:
            return Refused(Reason.UNKNOWN_TOPIC, f"topic {topic[:200]!r}")
        if said.mode != self.mode:
            return Refused(Reason.WRONG_MODE, f"topic {topic[:200]!r} in mode {self.mode.name}")
        if said.receiver != self.node:
            return Refused(Reason.PARTNER_MISMATCH, f"meant for {said.receiver}")
        agreement = self._agreements.get(said.giver)
        if agreement is None or agreement.id != said.agreement:
            return Refused(
                Reason.NOT_AGREED, f"no agreement {said.agreement} with {said.giver} is known"
            )
        if (agreement.giver, agreement.receiver) != (said.giver, self.node):
            return Refused(
                Reason.NOT_AGREED,
                f"{agreement.id} is between {agreement.giver} and {agreement.receiver}",
            )
        batch = decode_batch(payload)
        if isinstance(batch, Refused):
            return Refused(batch.reason, f"{said.giver}: {batch.detail}")
        told = Shared(batch.mode, batch.giver, batch.receiver, batch.agreement, said.lane)
        if told != said:
            return Refused(
                Reason.PARTNER_MISMATCH, f"{said.giver}: the message names {told.topic[:200]}"
            )
        if self.node in batch.path:
            return Refused(Reason.LOOP, f"{said.giver}: has passed this node before")
        if len(batch.path) > MAX_HOPS or batch.path[0] != said.giver:
            way = " > ".join(batch.path)[:200]
            return Refused(Reason.LOOP, f"{said.giver}: came by {way}; only its own is taken")
        late_s = (received_ns - batch.sent_ns) / NS_PER_S
        if late_s < -MAX_AHEAD_S:
            return Refused(
                Reason.TIME_FUTURE, f"{said.giver}: its clock is {-late_s:.1f} s ahead of ours"
            )
        if late_s > MAX_TRANSIT_S:
            return Refused(Reason.TIME_PAST, f"{said.giver}: sent {late_s:.0f} s ago")
        closing = is_withdrawal(batch.rows) | batch.void
        if not agreement.in_force(received_ns) and not closing.all():
            return Refused(
                Reason.NOT_AGREED, f"{said.giver}: {agreement.id} is not valid at this time"
            )
        return batch

    def _faults(
        self, batch: Batch, agreement: Agreement, received_ns: int
    ) -> tuple[list[Refused | None], Bools]:
        """What is wrong with each row, None: nothing; and where the agreement alone is against."""
        rows = batch.rows
        found: list[Refused | None] = [None] * len(batch)
        latest = batch.sent_ns + int(MAX_AHEAD_S * NS_PER_S)
        for mask, reason, detail in row_checks(rows, self.mode, latest):
            for row in np.flatnonzero(mask).tolist():
                found[row] = found[row] or Refused(reason, detail)
        parties = Parties(batch.giver, self.node, self.mode)
        codes = recheck(rows, agreement, received_ns, parties)
        codes[is_withdrawal(rows)] = Refusal.NONE
        against = codes != Refusal.NONE
        for row in np.flatnonzero(codes).tolist():
            name = Refusal(int(codes[row])).name.lower()
            against[row] = found[row] is None
            found[row] = found[row] or Refused(Reason.NOT_AGREED, name)
        return found, against

    def _closing(
        self,
        batch: Batch,
        stream: _Stream,
        usable: Bools,
        faults: list[Refused | None],
        against: Bools,
    ) -> Bools:
        """(U,) bool: deletions of tracks that are held, which only the agreement is against.

        Our copy of it may be the narrower one. That a track is no more may be said even so; what
        else stands in the row is not taken.
        """
        found = np.zeros(len(batch), dtype=np.bool_)
        status = batch.rows.status
        if not (usable & against & (status == Status.DELETED)).any():
            return found
        opened: set[int] = set()  # by an earlier row of this batch
        for row, track in enumerate(batch.rows.track_id.tolist()):
            if not usable[row]:
                continue
            if faults[row] is None and status[row] != Status.DELETED:
                opened.add(track)
            elif against[row] and status[row] == Status.DELETED:
                found[row] = track in opened or stream.heads.holds(track)
        return found

    # -- time

    def expire(self, now_ns: int, offset: int) -> ForeignUpdates:
        """Close tracks that no agreement covers (any more); call it at every tick.

        That is all of an agreement that is not in force, and of one that was changed those that it
        would not let in now.

        Parameters
        ----------
        now_ns, offset
            Of the input by which the time is known.

        Returns
        -------
        ForeignUpdates
            Rows with `seq` 0; usually none.
        """
        self._now_ns = now_ns
        parts: list[ForeignUpdates] = []
        n = 0
        for (giver, name), stream in self._streams.items():
            agreement = self._agreements.get(giver)
            if self._named(giver, name) and agreement is not None and agreement.in_force(now_ns):
                if stream.terms == agreement.digest:
                    continue
                stream.terms = agreement.digest
                rows = stream.heads.close(self._uncovered(agreement, now_ns))
            else:
                rows = stream.heads.close()
            if not len(rows):
                continue
            rows.n[:] = n + np.arange(len(rows))
            n += len(rows)
            zero = np.zeros(len(rows), dtype=np.int64)
            # What a later agreement has given already is no longer this one's to close.
            now = None if agreement is None else self._streams[giver, agreement.id].heads
            tracks = rows.track_id.tolist()
            newest = np.array(
                [now is None or now is stream.heads or not now.holds(track) for track in tracks]
            )
            parts.append(_foreign(rows, giver, name, zero, now_ns, now_ns, offset, newest))
        return ForeignUpdates.concat(parts)

    def _uncovered(self, agreement: Agreement, now_ns: int) -> Callable[[TrackUpdates], Bools]:
        parties = Parties(agreement.giver, self.node, self.mode)
        return lambda rows: recheck(rows, agreement, now_ns, parties) != Refusal.NONE

    # -- answers

    @property
    def givers(self) -> tuple[str, ...]:
        """Partners of whom an agreement is known."""
        return tuple(self._agreements)

    def ack(self, giver: str) -> dict[str, Any]:
        """What has arrived of a giver: the fields of `sharing.answers.Ack`.

        Raises
        ------
        KeyError
            No agreement with this giver is known.
        """
        agreement = self._agreements[giver]
        sequence = self._streams[giver, agreement.id].sequence
        gaps = sequence.gaps(ACK_GAPS)
        return {
            "agreement": agreement.id,
            "contiguous": sequence.contiguous,
            "highest": sequence.highest,
            "gaps": [list(gap) for gap in gaps],
            "head": sequence.head.hex(),
        }

    def ack_message(self, giver: str) -> tuple[str, Ack]:
        """Topic on the giver's broker and the ack to publish there.

        Raises
        ------
        KeyError
            No agreement with this giver is known.
        """
        document = self.ack(giver)
        gaps = [(low, high) for low, high in document.pop("gaps")]
        topic = Shared(self.mode, giver, self.node, document["agreement"], "ack").topic
        return topic, Ack(**document, gaps=gaps)

    def counters(self) -> dict[str, Any]:
        """How it stands with each giver, plain data.

        Returns
        -------
        dict
            By giver: ``agreement``; rows ``accepted``, ``refused``, ``duplicates`` and ``void``;
            ``held``, tracks; ``gaps``, sequence numbers missing now; ``reasons``, refusals of
            rows and whole messages; ``latest_ns``, when the newest message was taken in, 0: none;
            ``not_in_force``, since or until when the agreement is not, by the last input whose
            time was told; empty: it is.
        """
        found = {}
        for giver, agreement in self._agreements.items():
            stream = self._streams[giver, agreement.id]
            missing = sum(high - low + 1 for low, high in stream.sequence.gaps(MAX_RUNS))
            found[giver] = {
                "agreement": agreement.id,
                **stream.counts,
                "held": stream.heads.held,
                "gaps": missing,
                "reasons": dict(stream.reasons),
                "latest_ns": stream.latest_ns,
                "not_in_force": self._not_in_force(agreement),
            }
        return found

    def _not_in_force(self, agreement: Agreement) -> str:
        if self._now_ns >= agreement.valid_until_ns:
            return f"the agreement ended at {iso_from_ns(agreement.valid_until_ns)}"
        if 0 < self._now_ns < agreement.valid_from_ns:
            return f"the agreement begins at {iso_from_ns(agreement.valid_from_ns)}"
        return ""

    # -- state

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides later rows and acks, as plain data."""
        return {
            "refused_messages": self.refused_messages,
            "streams": [
                {
                    "giver": giver,
                    "agreement": name,
                    "runs": stream.sequence.snapshot(),
                    "heads": stream.heads.snapshot(),
                    "counts": dict(stream.counts),
                    "reasons": dict(stream.reasons),
                    "latest_ns": stream.latest_ns,
                    "terms": stream.terms,
                }
                for (giver, name), stream in self._streams.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `snapshot` gave, under the same node and mode."""
        self.refused_messages = state["refused_messages"]
        self._streams = {}
        for one in state["streams"]:
            stream = _Stream(
                Sequence.restore(one["runs"]),
                counts=dict(one["counts"]),
                reasons=dict(one["reasons"]),
                latest_ns=one["latest_ns"],
                terms=one["terms"],
            )
            stream.heads.restore(one["heads"])
            self._streams[one["giver"], one["agreement"]] = stream
        self.reconfigure(self._agreements)


def _foreign(
    rows: TrackUpdates,
    giver: str,
    agreement: str,
    seq: Array,
    sent_ns: int,
    received_ns: int,
    offset: int,
    head: Bools,
) -> ForeignUpdates:
    rows.known_offset[:] = offset
    made: dict[str, Any] = {name: column.empty(len(rows)) for name, column in SCHEMA.items()}
    made["giver"][:] = 0
    made["agreement"][:] = 0
    made["seq"][:] = seq
    made["sent"][:] = sent_ns
    made["received"][:] = received_ns
    made["path"][:, 0] = 0
    made["head"][:] = head
    return ForeignUpdates(rows, **made, nodes=(giver,), agreements=(agreement,))
