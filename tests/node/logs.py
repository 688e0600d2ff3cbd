"""What the files of a node say, and what an undisturbed engine says of the same journal."""

from collections import Counter
from typing import Any

from benchmarks import equivalence
from benchmarks.equivalence import outputs, undisturbed
from model.records import Kind

__all__ = ["assert_same", "assert_whole", "outputs", "payloads", "records", "undisturbed"]


def records(folder) -> Any:
    return list(equivalence.records(folder))


def payloads(folder) -> Counter[bytes]:
    return Counter(r.payload for r in records(folder) if r.kind == Kind.MESSAGE)


def assert_same(found, expected) -> None:
    """The same rows in the same order, bit for bit, over all batches."""
    assert equivalence.differences(found, expected) == []


def assert_whole(found) -> None:
    """Output records cover the inputs one after another, each once."""
    assert equivalence.gaps(found) == []
