"""Mending the end of a segment after a crash, and telling that from damage."""

import os
from dataclasses import dataclass
from pathlib import Path

from journal.disk import write_all
from journal.segment import HEADER, decode_header, encode_header, find_frame, frames
from model.errors import JournalCorrupt

SECTOR = 512
"""Smallest unit that a disk writes or loses, bytes."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a log found at its end.

    Parameters
    ----------
    segment
        File that was mended; empty: nothing was.
    offset
        Offset that the next record gets.
    truncated_bytes
        Bytes of an append that a crash had cut off, now removed.
    dropped_records
        Whole records among them: behind a hole that a power cut left in an append never synced.
    """

    segment: str = ""
    offset: int = 0
    truncated_bytes: int = 0
    dropped_records: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """What stands behind the last good record of a segment.

    Parameters
    ----------
    torn
        An append that a crash cut off before it was durable: it may be cut away. Otherwise bytes
        changed that were once whole.
    survivors
        Whole records behind the damage.
    """

    torn: bool
    survivors: int


def assess(buffer: bytes, seed: int, offset: int, position: int) -> Damage:
    """Tell a torn append from a damaged record.

    A process that is killed leaves a prefix of its append. A power cut may also keep later pages
    of an append and lose earlier ones, which then read as zeros. So damage is *torn* if no whole
    record follows; or if all that follow were written while the damaged record was not yet known
    to be durable, and a piece of the damage up to a sector's end reads as zeros (a whole sector, or
    all of it from where the record should begin). In all other cases a record that was stored
    has changed.

    Parameters
    ----------
    buffer
        The whole segment.
    seed
        Of the segment.
    offset, position
        Of the first record that is not good.
    """
    survivor = find_frame(buffer, seed, offset, position)
    if survivor is None:
        return Damage(torn=True, survivors=0)
    gap_end = survivor.start
    survivors = 0
    was_durable = False
    while survivor is not None:
        survivors += 1
        was_durable |= survivor.offset - survivor.behind > offset
        survivor = find_frame(buffer, seed, survivor.offset, survivor.end)
    torn = not was_durable and _lost_a_sector(buffer, position, gap_end)
    return Damage(torn, survivors)


def _lost_a_sector(buffer: bytes, start: int, stop: int) -> bool:
    boundary = (start // SECTOR + 1) * SECTOR
    # a record begins with four bytes of checksum and a marker that is not zero: six zero bytes or
    # more where it should begin were never written
    if start + 6 <= boundary <= stop and not any(buffer[start:boundary]):
        return True
    return any(
        not any(buffer[end - SECTOR : end])
        for end in range(boundary + (SECTOR if start % SECTOR else 0), stop + 1, SECTOR)
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A segment that is fit to be written on: its seed, end offset and length in bytes."""

    seed: int
    end: int
    size: int
    recovery: Recovery


def recover(fd: int, path: Path, first: int) -> Opened:
    """Find the end of the last segment and cut away what a crash left behind it.

    Parameters
    ----------
    fd, path
        The segment, open for appending.
    first
        Offset of its first record, from its name.

    Raises
    ------
    JournalCorrupt
        A stored record has changed; the file is left as it is.
    OSError
        The system refuses.
    """
    data = path.read_bytes()
    seed = decode_header(data, first, path)
    if seed is None:
        if len(data) > HEADER.size:
            raise JournalCorrupt(f"{path}: its header is damaged (offset {first})")
        # a crash while the segment was made: it holds nothing, and its name says all
        header, seed = encode_header(first, os.urandom(8))
        os.ftruncate(fd, 0)
        write_all(fd, header)
        return Opened(seed, first, HEADER.size, Recovery(path.name, first, len(data)))
    end, good = first, HEADER.size
    for frame in frames(data, seed, first, good):
        end, good = frame.offset + 1, frame.end
    if good == len(data):
        return Opened(seed, end, good, Recovery(offset=end))
    damage = assess(data, seed, end, good)
    if not damage.torn:
        raise JournalCorrupt(
            f"{path}: the record of offset {end} (byte {good}) is damaged, and "
            f"{damage.survivors} whole records follow it"
        )
    os.ftruncate(fd, good)
    recovery = Recovery(path.name, end, len(data) - good, damage.survivors)
    return Opened(seed, end, good, recovery)
