"""Plain data and NumPy arrays as bytes, bit for bit, without pickle.

A version byte, then MessagePack. Two extension types carry NumPy values:

==== ===================================================================================
code content
==== ===================================================================================
1    array: u8 length of the dtype text, the text (``<f8``, ``|S24``), u8 number of axes,
     i64 little-endian per axis, the elements in C order
2    NumPy scalar: the same with no axes
==== ===================================================================================

Arrays come back **read-only**: where the bytes lie aligned for the dtype they are a view of the
message, which stays in memory with them; else a copy. Copy one before you write into it.
Tuples and sets come back as lists, dataclasses as dicts, enums as their values.
"""

import functools
import math
import re
import struct
from typing import Any, NamedTuple, NoReturn

import msgspec
import numpy as np

from model.arrays import Array
from model.detections import SCHEMA as DETECTIONS
from model.detections import Detections
from model.errors import JournalError, OtherVersion, Quarantined, Reason
from model.foreign import SCHEMA as FOREIGN
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.tracks import SCHEMA as UPDATES
from model.tracks import TrackUpdates

PLAIN_VERSION = 0x01
"""First byte of what `pack` makes."""

OUTPUT_VERSION = 0x42
"""First byte of what `pack_output` makes."""

_ARRAY = 1
_SCALAR = 2
_MAX_AXES = 64  # NPY_MAXDIMS of NumPy 2

LARGE = 16_384
"""Arrays from this size on are joined from where they lie, bytes: a view of one takes a
microsecond, which is what a copy of so much takes."""

_DTYPE = re.compile(r"[<>|][biufcSU][0-9]{1,9}|[<>][mM]8\[(ns|us|ms|s|m|h|D)\]")
"""Dtypes that are plain bytes: no objects, no fields."""

_FAILURES = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
)
"""What msgspec and NumPy raise on bytes that make no sense; `UnicodeError` is a `ValueError`."""


@functools.lru_cache(maxsize=4_096)
def _head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """What stands before the elements; the same columns of a few rows come again and again."""
    text = dtype.str
    if not _DTYPE.fullmatch(text):
        raise TypeError(f"an array of {dtype} is not plain data")
    axes = b"".join(length.to_bytes(8, "little") for length in shape)
    return bytes((len(text),)) + text.encode("ascii") + bytes((len(shape),)) + axes


def _encode_array(array: Array) -> bytes:
    head = _head(array.dtype, array.shape)
    if array.nbytes < LARGE:
        return head + array.tobytes()
    return b"".join((head, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data))


def _encode(value: Any) -> msgspec.msgpack.Ext:
    if type(value) is np.ndarray:
        return msgspec.msgpack.Ext(_ARRAY, _encode_array(value))
    if isinstance(value, np.generic):
        return msgspec.msgpack.Ext(_SCALAR, _encode_array(np.asarray(value)))
    raise TypeError(f"a {type(value).__qualname__} is not plain data")


@functools.lru_cache(maxsize=256)
def _dtype_of(name: bytes) -> np.dtype[Any]:
    """The dtype of a text; there are few, and each comes many times."""
    text = name.decode("ascii")
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"dtype {text!r} is not plain data")
    return np.dtype(text)


_SHAPES = [struct.Struct(f"<{axes}q") for axes in range(_MAX_AXES + 1)]


def _decode_array(data: memoryview) -> Array:
    if not data or len(data) < 2 + data[0]:
        raise ValueError("an array is cut short")
    text_end = 1 + data[0]
    dtype = _dtype_of(bytes(data[1:text_end]))
    axes = data[text_end]
    start = text_end + 1 + 8 * axes
    if axes > _MAX_AXES or start > len(data):
        raise ValueError("an array is cut short")
    shape = _SHAPES[axes].unpack_from(data, text_end + 1)
    size = math.prod(shape)
    if min(shape, default=0) < 0 or size * dtype.itemsize != len(data) - start:
        raise ValueError(
            f"an array of {dtype}{list(shape)} does not take {len(data) - start} bytes"
        )
    if size and not dtype.itemsize:
        raise ValueError("an array of elements without bytes")
    array: Array = np.ndarray(shape, dtype, buffer=data, offset=start)
    if dtype.kind == "U":
        points = np.frombuffer(data[start:], dtype.byteorder + "u4")
        if points.max(initial=0) > 0x10FFFF:
            raise ValueError("a text holds what is no Unicode character")
    if dtype.kind == "b" and array.view("u1").max(initial=0) > 1:
        raise ValueError("a truth value is neither 0 nor 1")
    if not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array


def _decode(code: int, data: memoryview) -> Any:
    if code == _ARRAY:
        return _decode_array(data)
    if code == _SCALAR:
        array = _decode_array(data)
        if array.ndim:
            raise ValueError("a scalar with axes")
        return array[()]
    raise ValueError(f"extension type {code} is not known")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode)
_plain_decoder = msgspec.msgpack.Decoder(ext_hook=_decode)


def _check_version(data: bytes, version: int, what: str) -> None:
    if not data:
        raise JournalError(f"{what}: no bytes at all")
    if data[0] != version:
        raise OtherVersion(
            f"{what}: version byte 0x{data[0]:02x}; this program knows 0x{version:02x}"
        )


def _refuse(what: str, error: Exception) -> NoReturn:
    raise JournalError(f"{what}: {error or type(error).__name__}") from error


def pack(obj: Any) -> bytes:
    """Plain data and NumPy arrays as bytes.

    Parameters
    ----------
    obj
        None, bool, int (of 64 bits), float, str, bytes, NumPy arrays and scalars of plain dtypes
        (booleans, numbers, fixed strings, times), and lists, tuples and dicts of these.

    Raises
    ------
    JournalError
        Something else is in it.
    """
    try:
        return bytes((PLAIN_VERSION,)) + _encoder.encode(obj)
    except _FAILURES as error:
        _refuse("cannot be packed", error)


def unpack(data: bytes) -> Any:
    """What `pack` packed; arrays are read-only.

    Raises
    ------
    JournalError
        The bytes are not from `pack`.
    """
    _check_version(data, PLAIN_VERSION, "packed data")
    try:
        return _plain_decoder.decode(memoryview(data)[1:])
    except _FAILURES as error:
        _refuse("packed data", error)


class _Foreign(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A `ForeignUpdates` as it is written."""

    updates: dict[str, np.ndarray[Any, Any]]
    columns: dict[str, np.ndarray[Any, Any]]
    nodes: tuple[str, ...]
    agreements: tuple[str, ...]


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An `OutputBatch` as it is written: an array in this order, tables by column name."""

    first: int
    through: int
    sensor_ids: tuple[str, ...]
    detections: dict[str, np.ndarray[Any, Any]]
    updates: dict[str, np.ndarray[Any, Any]]
    quarantined: tuple[tuple[int, int, str, Reason, str], ...]
    published_ns: int
    foreign: _Foreign | None


class _Span(msgspec.Struct, array_like=True):
    """The first two columns of a `_Wire`; the rest is passed over."""

    first: int
    through: int


class _Updates(msgspec.Struct, array_like=True):
    """Of a `_Wire` the track updates; what else is in it is passed over."""

    first: int
    through: int
    sensor_ids: msgspec.Raw
    detections: msgspec.Raw
    updates: dict[str, np.ndarray[Any, Any]]


_span_decoder = msgspec.msgpack.Decoder(_Span)
_updates_decoder = msgspec.msgpack.Decoder(_Updates, ext_hook=_decode)
_output_decoder = msgspec.msgpack.Decoder(_Wire, ext_hook=_decode)


def output_span(payload: bytes) -> tuple[int, int]:
    """`OutputBatch.first` and `through`, without reading the rest.

    Raises
    ------
    JournalError
        The bytes are not from `pack_output`.
    """
    _check_version(payload, OUTPUT_VERSION, "an output")
    try:
        span = _span_decoder.decode(memoryview(payload)[1:])
    except _FAILURES as error:
        _refuse("an output", error)
    return span.first, span.through


class UpdatesOnly(NamedTuple):
    """What a publisher needs of an `OutputBatch`; names as there."""

    first: int
    through: int
    updates: TrackUpdates


def unpack_updates(payload: bytes) -> UpdatesOnly:
    """The track updates of an output, without reading the rest; arrays are read-only.

    Raises
    ------
    JournalError
        The bytes are not from `pack_output`, or a column breaks its schema.
    """
    _check_version(payload, OUTPUT_VERSION, "an output")
    try:
        wire = _updates_decoder.decode(memoryview(payload)[1:])
        return UpdatesOnly(wire.first, wire.through, _checked(wire.updates))
    except _FAILURES as error:
        _refuse("an output", error)


def _checked(columns: dict[str, Any]) -> TrackUpdates:
    if columns.keys() - UPDATES:
        raise ValueError("unknown columns")
    return TrackUpdates(**columns).check()


def pack_output(batch: OutputBatch) -> bytes:
    """An `OutputBatch` as bytes, bit for bit.

    Raises
    ------
    JournalError
        A column breaks its schema, or a number does not fit.
    """
    try:
        wire = _Wire(
            first=batch.first,
            through=batch.through,
            sensor_ids=batch.sensor_ids,
            detections=batch.detections.check().columns(),
            updates=batch.updates.check().columns(),
            quarantined=tuple(
                (q.offset, q.item, q.sensor, q.reason, q.detail) for q in batch.quarantined
            ),
            published_ns=batch.published_ns,
            foreign=_pack_foreign(batch.foreign),
        )
        return bytes((OUTPUT_VERSION,)) + _encoder.encode(wire)
    except _FAILURES as error:
        _refuse("output batch cannot be packed", error)


def _pack_foreign(foreign: ForeignUpdates) -> _Foreign | None:
    if not len(foreign):
        return None
    foreign.check()
    return _Foreign(foreign.updates.columns(), foreign.columns(), foreign.nodes, foreign.agreements)


def _unpack_foreign(wire: _Foreign | None) -> ForeignUpdates:
    if wire is None:
        return ForeignUpdates.empty()
    if wire.columns.keys() - FOREIGN:
        raise ValueError("unknown columns")
    return ForeignUpdates(
        _checked(wire.updates),
        **wire.columns,
        nodes=wire.nodes,
        agreements=wire.agreements,
    ).check()


def unpack_output(data: bytes) -> OutputBatch:
    """The `OutputBatch` that `pack_output` packed; its arrays are read-only.

    Raises
    ------
    JournalError
        The bytes are not from `pack_output`, or a column breaks its schema.
    """
    _check_version(data, OUTPUT_VERSION, "output batch")
    try:
        wire = _output_decoder.decode(memoryview(data)[1:])
        if wire.detections.keys() - DETECTIONS:
            raise ValueError("unknown columns")
        return OutputBatch(
            first=wire.first,
            through=wire.through,
            sensor_ids=wire.sensor_ids,
            detections=Detections(**wire.detections).check(),
            updates=_checked(wire.updates),
            quarantined=tuple(Quarantined(*row) for row in wire.quarantined),
            published_ns=wire.published_ns,
            foreign=_unpack_foreign(wire.foreign),
        )
    except _FAILURES as error:
        _refuse("output batch", error)
