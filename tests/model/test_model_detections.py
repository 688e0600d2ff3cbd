"""The struct-of-arrays of reports and detections keeps its promises under cutting and joining."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.detections import DetectionKind, Detections, DetectionsBuilder

LINE = [(0.1, 0.2), (0.11, 0.21), (0.12, 0.2)]


def build(counts: list[int]) -> Detections:
    builder = DetectionsBuilder()
    for report, count in enumerate(counts):
        polygon = LINE if report % 2 else []
        builder.report(sensor=report % 3, time=report * 10, offset=report, looked_polygon=polygon)
        for item in range(count):
            if item % 2:
                builder.detection(kind=DetectionKind.LINE, line=LINE[: 2 + item % 2])
            else:
                builder.detection(kind=DetectionKind.POSITION, position=(report, item, 0.0))
    return builder.build().check()


def same(a: Detections, b: Detections) -> bool:
    """Equal in meaning: vertices may stand elsewhere."""
    columns = a.columns().keys() - {"vertices", "line_vertices", "looked_vertices"}
    if not all(
        np.array_equal(getattr(a, n), getattr(b, n), equal_nan=False)
        or np.array_equal(np.nan_to_num(getattr(a, n)), np.nan_to_num(getattr(b, n)))
        for n in columns
        if getattr(a, n).dtype.kind != "S"
    ):
        return False
    for name in ("line_vertices", "looked_vertices"):
        for (s, e), (t, f) in zip(getattr(a, name), getattr(b, name), strict=True):
            if not np.array_equal(a.vertices[s:e], b.vertices[t:f]):
                return False
    return True


@given(st.lists(st.integers(0, 4), max_size=8), st.integers(0, 8))
def test_cut_and_joined_again_it_is_the_same(counts, cut):
    whole = build(counts)
    rows = np.arange(whole.n_reports)
    parts = [whole.take_reports(rows[:cut]), whole.take_reports(rows[cut:])]
    assert same(Detections.concat(parts).check(), whole)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_reports_may_be_taken_in_any_order(counts, random):
    whole = build(counts)
    order = list(range(whole.n_reports))
    random.shuffle(order)
    taken = whole.take_reports(order).check()
    assert taken.offset.tolist() == order
    starts = taken.starts()
    for row, source in enumerate(order):
        assert starts[row + 1] - starts[row] == counts[source]


def test_an_empty_report_stays_a_report():
    whole = build([0, 2, 0])
    assert whole.n_reports == 3
    assert whole.starts().tolist() == [0, 0, 2, 2]


def test_a_wrong_column_is_named():
    whole = build([1])
    with pytest.raises(ValueError, match=r"Detections\.kind"):
        whole.replace(kind=np.zeros(1, dtype="i8")).check()
    with pytest.raises(ValueError, match="rise"):
        whole.replace(report=np.array([3], dtype="i4")).check()
