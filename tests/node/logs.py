"""What the files of a node say, and what an undisturbed engine says of the same journal."""

from collections import Counter
from typing import Any

import numpy as np

from adapters.registry import load_all
from config import engine_config
from ingest.shedding import decided
from journal.codec import unpack_output
from journal.reader import LogReader
from model.detections import Detections
from model.records import Kind
from model.tracks import TrackUpdates
from vedette.engine import Engine


def records(folder) -> Any:
    with LogReader(folder) as reader:
        found, offset = [], reader.start()
        while more := reader.read(offset):
            found += more
            offset = more[-1].offset + 1
        return found


def payloads(folder) -> Counter[bytes]:
    return Counter(r.payload for r in records(folder) if r.kind == Kind.MESSAGE)


def outputs(folder) -> Any:
    return [unpack_output(r.payload) for r in records(folder) if r.kind == Kind.OUTPUT]


def undisturbed(journal, step=7) -> Any:
    """Outputs of an engine of its own over the whole journal, cut in another way."""
    engine = Engine(engine_config, load_all())
    inputs = records(journal)
    for record in inputs:
        if record.kind == Kind.SHED:
            for decision in decided(record.payload, record.offset):
                engine.shed(*decision)
    return [engine.process(inputs[at : at + step]) for at in range(0, len(inputs), step)]


def assert_same(found, expected) -> Any:
    """The same rows in the same order, bit for bit, over all batches."""
    for name, kind in (("detections", Detections), ("updates", TrackUpdates)):
        one = kind.concat([getattr(batch, name) for batch in found]).columns()
        two = kind.concat([getattr(batch, name) for batch in expected]).columns()
        for column, values in one.items():
            assert values.shape == two[column].shape, f"{name}.{column}"
            assert np.array_equal(values, two[column], equal_nan=values.dtype.kind == "f"), (
                f"{name}.{column}"
            )
    assert [q for b in found for q in b.quarantined] == [q for b in expected for q in b.quarantined]


def assert_whole(found) -> Any:
    """Output records cover the inputs one after another, each once."""
    through = -1
    for batch in found:
        assert batch.first == through + 1
        assert batch.through >= batch.first
        through = batch.through
