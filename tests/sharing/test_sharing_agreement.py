"""Agreement files: what may stand in them, and every mistake at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.detections import Mode
from model.errors import ConfigError
from model.taxonomy import CLASS_INDEX
from sharing.agreement import load_agreement, parse_agreement
from tests.sharing.samples import FROM_NS, UNTIL_NS, agreement, text


def problems(content) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_agreement(content, "a.toml")
    return caught.value.problems


def test_a_file_is_read_into_radians_and_nanoseconds(tmp_path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text(more="min_existence = 0.5\nshare_identity = true"))
    found = load_agreement(path)
    assert (found.id, found.giver, found.receiver) == ("a-1", "north", "south")
    assert (found.valid_from_ns, found.valid_until_ns) == (FROM_NS, UNTIL_NS)
    assert found.classes == tuple(sorted((CLASS_INDEX["sea_vessel"], CLASS_INDEX["uav"])))
    assert len(found.areas) == len(found.excludes) == 1
    assert found.areas[0][2].tolist() == [math.radians(60.0), math.radians(29.0)]
    assert found.min_existence == 0.5
    assert found.share_identity
    assert found.mode == Mode.LIVE
    assert found.text == path.read_text()


def test_what_is_not_said_is_not_given() -> None:
    found = agreement()
    assert found.share_identity is False
    assert found.min_existence == 0.0


def test_times_hold_in_a_half_open_interval() -> None:
    found = agreement()
    assert not found.in_force(FROM_NS - 1)
    assert found.in_force(FROM_NS)
    assert found.in_force(UNTIL_NS - 1)
    assert not found.in_force(UNTIL_NS)


def test_every_mistake_is_named_at_once() -> None:
    content = """
area = []
strange = 1
[agreement]
id = "a/b"
giver = "north"
receiver = "north"
purpose = "  "
valid_from = 2026-03-01T00:00:00
classes = ["ship", 3]
share_identity = "yes"
min_existence = 1.5
mode = "dry"
colour = "red"
[[exclude]]
polygon = [[1, 2], [91, 2], ["x", 3]]
radius = 4
"""
    found = problems(content)
    assert all(line.startswith("a.toml: ") for line in found)
    keys = {line.split(": ")[1] for line in found}
    assert keys == {
        "strange", "agreement.colour", "agreement.id", "agreement.receiver", "agreement.purpose",
        "agreement.valid_from", "agreement.valid_until", "agreement.classes[0]",
        "agreement.classes[1]", "agreement.share_identity", "agreement.min_existence",
        "agreement.mode", "area", "exclude[0].radius", "exclude[0].polygon[1]",
        "exclude[0].polygon[2]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("polygon", "word"),
    [
        ("[[1, 1], [2, 2]]", "3 to 2000 points"),
        ("[[1, 1], [2, 2], [3, 3]]", "encloses nothing"),
        ("[[0, 0], [2, 1], [0, 3], [1, 0]]", "cross"),
        ("[[0, 0], [0, 4], [4, 4], [0, 2]]", "lies on"),
        ("[[0, 0], [0, 4], [4, 4], [0, 0], [0, 4], [4, 4]]", "lies on"),
        ("[[80, 0], [80, 120], [80, -120]]", "contains a pole"),
        ("[[0, 0], [1, 100], [0, 170], [0, -170], [-1, 100]]", "180 degrees"),
        ("[[1, 1], [2, nan], [3, 3]]", "no point"),
        ("[[1, 1], [2, true], [3, 3]]", "no point"),
    ],
)
def test_polygons_that_mean_nothing_are_refused(polygon, word) -> None:
    (found,) = problems(text(area=polygon))
    assert found.startswith("a.toml: area[0].polygon")
    assert word in found


def test_a_polygon_over_the_date_line_is_fine() -> None:
    found = agreement(area="[[0, 179], [0, -179], [1, -179], [1, 179]]")
    assert np.degrees(found.areas[0][1]).tolist() == pytest.approx([0, -179])


def test_a_closed_ring_is_the_same_polygon() -> None:
    open_, closed = "[[1, 1], [1, 2], [2, 2]]", "[[1, 1], [1, 2], [2, 2], [1, 1]]"
    assert np.array_equal(agreement(area=open_).areas[0], agreement(area=closed).areas[0])


def test_an_end_before_the_beginning_is_refused() -> None:
    (found,) = problems(text(until="2026-02-01T00:00:00Z"))
    assert "agreement.valid_until: does not lie behind valid_from" in found


def test_no_file_no_text_no_toml(tmp_path) -> None:
    for content in (None, b"\xff", b"= 1", b""):
        path = tmp_path / "a.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"a\.toml"):
            load_agreement(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["polygon", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def toml(value) -> str:
    if isinstance(value, bool) or value is None:
        return str(bool(value)).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(c):04x}" for c in value if ord(c) < 0xD800) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    return str(value)


@given(
    st.dictionaries(
        st.sampled_from(["agreement", "area", "exclude", "other"]),
        VALUES
        | st.dictionaries(
            st.sampled_from(["id", "giver", "purpose", "valid_from", "classes", "mode"]), VALUES
        ),
    )
)
def test_any_toml_is_refused_with_lines_or_read(document) -> None:
    content = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())
    assert problems(content)
