"""Everything that can go wrong, in one tree.

::

    VedetteError
     ├── ConfigError          a site, sensors or scenario file; holds every mistake, a line each
     ├── InputFileError       a file of reports, truth, pictures or a recording; names file and line
     ├── JournalError
     │    ├── OtherVersion    what another version of this program has written
     │    ├── JournalCorrupt  bytes that were once whole are not any more; names segment and offset
     │    └── JournalFull     the budget is used up: stop acknowledging
     ├── SnapshotError        a snapshot that cannot be used; an older one may be
     ├── LinkError            the broker cannot be reached or refuses
     ├── StorageError         the database cannot be reached, or a migration was altered
     └── DecoderError         an adapter broke its contract (it raised or ran out of time)

Bytes from the field never raise: they are *quarantined* with a `Reason`.
"""

from dataclasses import dataclass
from enum import StrEnum


class VedetteError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(VedetteError):
    """A configuration file with mistakes.

    Parameters
    ----------
    problems
        One line each, naming the file and the key.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class InputFileError(VedetteError):
    """A data file that cannot be read; the message names the file and the line."""


class JournalError(VedetteError):
    """The journal cannot do its work."""


class OtherVersion(JournalError):  # noqa: N818 - says what it is
    """Another version of this program has written it, in a form that this one does not know."""


class JournalCorrupt(JournalError):  # noqa: N818 - a state of the journal, named as one
    """Bytes below the durable end do not match their checksum."""


class JournalFull(JournalError):  # noqa: N818 - a state of the journal, named as one
    """The disk budget is used up and no segment may be deleted yet."""


class SnapshotError(VedetteError):
    """A snapshot is damaged or of another version."""


class LinkError(VedetteError):
    """The broker cannot be reached or refuses."""


class StorageError(VedetteError):
    """The database cannot be used as asked."""


class DecoderError(VedetteError):
    """An adapter broke its contract."""


class Reason(StrEnum):
    """Why a report or a detection is in quarantine."""

    # found before decoding
    OVERSIZE = "oversize"
    UNKNOWN_TOPIC = "unknown_topic"
    UNKNOWN_SENSOR = "unknown_sensor"
    BAD_FRAME = "bad_frame"
    RATE = "rate"
    # let go by a core that could not keep up
    SHED_SUPERSEDED = "shed_superseded"
    SHED_STALE = "shed_stale"
    SHED_PRIORITY = "shed_priority"
    # found by a decoder
    NOT_JSON = "not_json"
    NOT_MSGPACK = "not_msgpack"
    BAD_SHAPE = "bad_shape"
    BAD_FIELD = "bad_field"
    MISSING_FIELD = "missing_field"
    BAD_CHECKSUM = "bad_checksum"
    TRUNCATED = "truncated"
    UNSUPPORTED = "unsupported"
    INCOMPLETE = "incomplete"
    DECODER_RAISED = "decoder_raised"
    DECODER_TIMEOUT = "decoder_timeout"
    # found by the gate
    SENSOR_MISMATCH = "sensor_mismatch"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    TIME_PAST = "time_past"
    TIME_FUTURE = "time_future"
    NO_ORIGIN = "no_origin"
    WRONG_MODE = "wrong_mode"
    HUMAN_IDENTITY = "human_identity"
    # found by the receiver of partners' tracks
    PARTNER_MISMATCH = "partner_mismatch"
    NOT_AGREED = "not_agreed"
    LOOP = "loop"
    BAD_CHAIN = "bad_chain"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One report or detection that was refused, and where its bytes are.

    Parameters
    ----------
    offset
        Journal offset of the input whose bytes hold it.
    item
        Position within that input (message, line, frame or detection), from 0; -1 means all of it.
    sensor
        Sensor id as the topic names it; empty if the topic names none.
    reason
        What was wrong.
    detail
        One short line for a person: the field, the value, the limit.
    """

    offset: int
    item: int
    sensor: str
    reason: Reason
    detail: str
