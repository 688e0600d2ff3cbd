"""What the files of a node say, and whether an undisturbed engine says the same of its journal.

The outputs of a node are a function of its journal (docs/node.md). So whatever was done to the
node, an engine of its own that runs over the whole journal in one go must give the same rows. The
tests of nodes and the fault campaign (`benchmarks.chaos`) both judge by this file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adapters.registry import load_all
from config import EngineConfig, engine_config
from ingest.shedding import decided
from journal.codec import unpack_output
from journal.reader import LogReader
from model.detections import Detections
from model.ports import OutputBatch
from model.records import Kind, Record
from model.tracks import TrackUpdates
from vedette.engine import Engine

STEP = 7
"""Inputs in one call of the undisturbed engine: no cut of a live node falls into that pattern."""


def records(folder: Path) -> Iterator[Record]:
    """All records of a log that are held, in order.

    Parameters
    ----------
    folder
        Of the log; its writer may be at work.
    """
    with LogReader(folder) as reader:
        offset = reader.start()
        while more := reader.read(offset):
            yield from more
            offset = more[-1].offset + 1


def outputs(folder: Path) -> list[OutputBatch]:
    """Batches of an output log."""
    return [unpack_output(one.payload) for one in records(folder) if one.kind == Kind.OUTPUT]


def undisturbed(journal: Path, step: int = STEP) -> list[OutputBatch]:
    """Outputs of an engine of its own over a whole journal.

    Parameters
    ----------
    journal
        Folder of the journal; nothing of it may have been let go.
    step
        Inputs in one call.
    """
    engine = Engine(_untimed, load_all())
    inputs = list(records(journal))
    for record in inputs:
        if record.kind == Kind.SHED:
            for offset, reason in decided(record.payload, record.offset):
                engine.shed(offset, reason)
    return [engine.process(inputs[at : at + step]) for at in range(0, len(inputs), step)]


def up_to(batches: Sequence[OutputBatch], through: int) -> list[OutputBatch]:
    """Outputs of inputs up to one; a node that has ended has said nothing of those behind it."""
    kept = [batch for batch in batches if batch.through <= through]
    for batch in batches:
        if batch.first <= through < batch.through:
            rows = np.flatnonzero(batch.detections.offset <= through)
            kept.append(
                replace(
                    batch,
                    through=through,
                    detections=batch.detections.take_reports(rows),
                    updates=batch.updates.take(batch.updates.known_offset <= through),
                    quarantined=tuple(one for one in batch.quarantined if one.offset <= through),
                    foreign=batch.foreign.take(batch.foreign.updates.known_offset <= through),
                )
            )
    return kept


def gaps(found: Sequence[OutputBatch]) -> list[str]:
    """Where output records do not cover the inputs one after another, each once."""
    problems, through = [], -1
    for batch in found:
        if batch.first != through + 1 or batch.through < batch.first:
            problems.append(f"outputs of {batch.first}..{batch.through} follow those of {through}")
        through = batch.through
    return problems


def differences(found: Sequence[OutputBatch], expected: Sequence[OutputBatch]) -> list[str]:
    """In what two runs of output batches differ, bit for bit, however they are cut.

    Returns
    -------
    list of str
        A line for each column that differs, with the journal offset of the first row that does.
    """
    problems: list[str] = []
    one, two = (Detections.concat([b.detections for b in run]) for run in (found, expected))
    problems += columns("detections", one.columns(), two.columns(), one.offset)
    first, second = (TrackUpdates.concat([b.updates for b in run]) for run in (found, expected))
    problems += columns("updates", first.columns(), second.columns(), first.known_offset)
    refused, again = ([item for b in run for item in b.quarantined] for run in (found, expected))
    if refused != again:
        difference = _first(refused, again)
        problems.append(f"quarantined: {len(refused)} and {len(again)}; the first: {difference}")
    return problems


def columns(
    name: str, one: dict[str, Any], two: dict[str, Any], offsets: Any, leave_out: Sequence[str] = ()
) -> list[str]:
    """In which columns two tables differ.

    Parameters
    ----------
    name
        Of the tables, for the messages.
    one, two
        Columns by name.
    offsets
        Journal offset of each row of the first, for the messages.
    leave_out
        Columns that are not compared.
    """
    problems = []
    for column, values in one.items():
        if column in leave_out:
            continue
        other = two[column]
        if values.shape != other.shape:
            problems.append(f"{name}.{column}: {values.shape} and {other.shape}")
            continue
        equal = values == other
        if values.dtype.kind == "f":
            equal = equal | (np.isnan(values) & np.isnan(other))
        if equal.all():
            continue
        rows = np.flatnonzero(~equal.reshape(len(values), -1).all(axis=1)).tolist()
        where = f"row {rows[0]}"
        if len(offsets) == len(values):
            where += f" of input {offsets[rows[0]]}"
        problems.append(
            f"{name}.{column}: {len(rows)} of {len(values)} rows differ, first {where}: "
            f"{values[rows[0]]} and {other[rows[0]]}"
        )
    return problems


def _first(one: Sequence[Any], two: Sequence[Any]) -> str:
    for a, b in zip(one, two, strict=False):
        if a != b:
            return f"{a} and {b}"
    longer = one if len(one) > len(two) else two
    return f"{longer[min(len(one), len(two))]} stands in one alone"


def _untimed(payload: bytes) -> EngineConfig:
    """What ran out of time in the node is journaled; nothing else may here."""
    return replace(engine_config(payload), decode_timeout_s=0.0)
