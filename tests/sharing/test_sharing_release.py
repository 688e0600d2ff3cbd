"""Releasability against a reference written row by row on whole numbers."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.detections import IdentityKind, Mode
from model.taxonomy import CLASS_INDEX, CLASSES, N_CLASSES
from model.tracks import ABOUT_IDENTITY, Status, TrackUpdates, UpdateReason
from sharing.agreement import Agreement
from sharing.area import polygon_mistakes
from sharing.release import Parties, Refusal, count, explain, recheck, refusals, release, transform
from tests.sharing.samples import (
    FROM_NS,
    IN_HOLE,
    INSIDE,
    NOW_NS,
    OUTSIDE,
    PARTIES,
    UNTIL_NS,
    agreement,
    at,
    of_class,
    updates,
)

# -- a reference on a lattice of half degrees, exact; (lat, lon) in lattice steps


def ref_side(a, b, p) -> Any:
    return (b[1] - a[1]) * (p[0] - a[0]) - (b[0] - a[0]) * (p[1] - a[1])


def ref_between(a, b, p) -> bool:
    return bool(
        ref_side(a, b, p) == 0
        and min(a[0], b[0]) <= p[0] <= max(a[0], b[0])
        and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])
    )


def ref_place(polygon, p) -> str:
    """inside, outside or border; by counting how often the edges wind about the point."""
    edges = list(zip(polygon, polygon[1:] + polygon[:1], strict=True))
    if any(ref_between(a, b, p) for a, b in edges):
        return "border"
    winding = 0
    for a, b in edges:
        if a[0] <= p[0] < b[0] and ref_side(a, b, p) < 0:
            winding += 1
        if b[0] <= p[0] < a[0] and ref_side(a, b, p) > 0:
            winding -= 1
    return "inside" if winding else "outside"


def ref_released(terms, track, now_ns, parties) -> bool:
    if terms["giver"] != parties.giver or terms["receiver"] != parties.receiver:
        return False
    if not (terms["mode"] == parties.mode == track["mode"]):
        return False
    for moment in (now_ns, track["known"]):
        if moment < terms["from"] or moment >= terms["until"]:
            return False
    if track["status"] == Status.TENTATIVE:
        return False
    best = max(track["classes"])
    top = {CLASSES[i] for i, p in enumerate(track["classes"]) if p == best}
    if best <= 0:
        top = {"unknown"}
    if not top <= terms["classes"]:
        return False
    if not Fraction(track["existence"]) >= Fraction(terms["min_existence"]):
        return False
    if not any(ref_place(polygon, track["place"]) == "inside" for polygon in terms["areas"]):
        return False
    return all(ref_place(polygon, track["place"]) == "outside" for polygon in terms["excludes"])


STEP = 0.5
EAST = st.integers(-8, 8)


def radians(place, base) -> list[float]:
    """A lattice place about (10 N, base): longitudes as people write them, -180..180."""
    lon = base + STEP * place[1]
    return [np.radians(10.0 + STEP * place[0]), np.radians((lon + 180.0) % 360.0 - 180.0)]


def array(polygon, base):
    return np.array([radians(place, base) for place in polygon])


POLYGONS = st.lists(st.tuples(EAST, EAST), min_size=3, max_size=6).filter(
    lambda polygon: not polygon_mistakes(array(polygon, 0.0))
)


MOMENTS = st.sampled_from([NOW_NS, FROM_NS, UNTIL_NS - 1, 0, FROM_NS - 1, UNTIL_NS, UNTIL_NS + 1])
MODES = st.sampled_from(list(Mode))
BOX = [(-5, -6), (-5, 6), (5, 6), (5, -6)]
SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def certain(index) -> list[float]:
    return [0.75 if column == index else 0.25 * (column == 0) for column in range(N_CLASSES)]


FINE_TERMS = {
    "giver": "north", "receiver": "south", "mode": Mode.LIVE, "from": FROM_NS, "until": UNTIL_NS,
}  # fmt: skip
FINE_TRACK = {
    "known": NOW_NS, "mode": Mode.LIVE, "status": Status.CONFIRMED, "existence": 1.0,
    "classes": certain(CLASS_INDEX["uav"]), "place": (0, 0),
}  # fmt: skip
TRACK_VALUES = {
    "known": MOMENTS,
    "mode": MODES,
    "status": st.sampled_from(list(Status)),
    "existence": SHARES,
    "classes": st.integers(0, N_CLASSES - 1).map(certain)
    | st.lists(st.sampled_from([0.0, 0.5]), min_size=N_CLASSES, max_size=N_CLASSES),
    "place": st.tuples(EAST, EAST),
}


@st.composite
def terms_of(draw) -> Any:
    """An agreement with at most one thing that forbids everything."""
    terms = {
        **FINE_TERMS,
        "classes": {"uav", *draw(st.sets(st.sampled_from(CLASSES)))},
        "min_existence": draw(SHARES),
        "areas": draw(st.lists(st.just(BOX) | POLYGONS, min_size=1, max_size=2)),
        "excludes": draw(st.lists(POLYGONS, max_size=1)),
    }
    wrong = draw(st.sampled_from([None] * 8 + ["giver", "receiver", "mode"]))
    if wrong == "mode":
        terms["mode"] = Mode.EXERCISE
    elif wrong:
        terms[wrong] = "west"
    return terms


@st.composite
def track_of(draw) -> Any:
    """A track that may go nearly everywhere, but for one or two of its values."""
    changed = draw(st.sets(st.sampled_from(sorted(TRACK_VALUES)), max_size=2))
    return {**FINE_TRACK, **{name: draw(TRACK_VALUES[name]) for name in sorted(changed)}}


TERMS, TRACKS = terms_of(), track_of()


def agreement_of(terms, base) -> Agreement:
    return Agreement(
        "a-1", terms["giver"], terms["receiver"], "test", terms["from"], terms["until"],
        tuple(sorted(CLASS_INDEX[label] for label in terms["classes"])),
        tuple(array(polygon, base) for polygon in terms["areas"]),
        tuple(array(polygon, base) for polygon in terms["excludes"]),
        min_existence=terms["min_existence"], mode=terms["mode"],
    )  # fmt: skip


def updates_of(tracks, base) -> TrackUpdates:
    rows = updates(len(tracks))
    for row, track in enumerate(tracks):
        rows.state[row, :2] = radians(track["place"], base)
        for name in ("known", "mode", "status", "classes", "existence"):
            getattr(rows, name)[row] = track[name]
    return rows


@settings(max_examples=300)
@given(
    TERMS,
    st.lists(TRACKS, min_size=4, max_size=12),
    st.just(NOW_NS) | MOMENTS,
    st.sampled_from([0.0, 28.0, 180.0, -179.5]),
    st.sampled_from([Mode.LIVE, Mode.LIVE, Mode.LIVE, Mode.EXERCISE]),
)
def test_release_says_what_the_reference_says(terms, tracks, now_ns, base, mode) -> None:
    parties = replace(PARTIES, mode=mode)
    agreed = agreement_of(terms, base)
    rows = updates_of(tracks, base)
    expected = [ref_released(terms, track, now_ns, parties) for track in tracks]
    assert release(rows, agreed, now_ns, parties).tolist() == expected
    for row, released in enumerate(expected):
        one = rows.take(np.array([row]))
        refusal, sentence = explain(one, agreed, now_ns, parties)
        assert (refusal == Refusal.NONE) == released
        assert refusal == refusals(rows, agreed, now_ns, parties)[row]
        assert sentence


@given(POLYGONS, st.tuples(EAST, EAST), st.sampled_from([0.0, 180.0]))
@example([(0, 0), (0, 4), (4, 4), (4, 0)], (2, 4), 180.0)  # on an edge
@example([(0, 0), (0, 4), (4, 4), (4, 0)], (4, 4), 180.0)  # on a corner
@example([(0, 0), (8, 8), (0, 8)], (3, 3), 0.0)  # on a slanted edge
def test_a_border_is_denied_from_both_sides(polygon, place, base) -> None:
    terms = {
        "giver": "north", "receiver": "south", "mode": Mode.LIVE, "from": 0, "until": UNTIL_NS,
        "classes": set(CLASSES), "min_existence": 0.0, "areas": [polygon], "excludes": [],
    }  # fmt: skip
    wide = [[(-20, -20), (-20, 20), (20, 20), (20, -20)]]
    rows = updates()
    rows.state[0, :2] = radians(place, base)
    where = ref_place(polygon, place)
    area = refusals(rows, agreement_of(terms, base), NOW_NS, PARTIES)[0]
    assert (area == Refusal.NONE) == (where == "inside")
    excluded = agreement_of({**terms, "areas": wide, "excludes": [polygon]}, base)
    hole = refusals(rows, excluded, NOW_NS, PARTIES)[0]
    assert (hole == Refusal.NONE) == (where == "outside")


@pytest.mark.parametrize(
    ("rows", "agreed", "reason"),
    [
        (updates(), agreement(), Refusal.NONE),
        (updates(), None, Refusal.NO_AGREEMENT),
        (updates(), agreement(receiver="west"), Refusal.OTHER_PARTY),
        (updates(), agreement(mode="exercise"), Refusal.WRONG_MODE),
        (updates(mode=Mode.EXERCISE), agreement(), Refusal.WRONG_MODE),
        (updates(known=FROM_NS - 1), agreement(), Refusal.NOT_YET_VALID),
        (updates(known=UNTIL_NS), agreement(), Refusal.EXPIRED),
        (updates(status=Status.TENTATIVE), agreement(), Refusal.TENTATIVE),
        (updates(state=np.nan), agreement(), Refusal.NO_POSITION),
        (updates(state=np.inf), agreement(), Refusal.NO_POSITION),
        (updates(classes=of_class("human")), agreement(), Refusal.CLASS),
        (updates(classes=0), agreement(), Refusal.CLASS),
        (updates(classes=np.nan), agreement(), Refusal.CLASS),
        (updates(classes=0), agreement(classes='["unknown"]'), Refusal.NONE),
        (updates(existence=0.49), agreement(more="min_existence = 0.5"), Refusal.EXISTENCE),
        (updates(existence=np.nan), agreement(), Refusal.EXISTENCE),
        (at(OUTSIDE), agreement(), Refusal.OUTSIDE),
        (at(IN_HOLE), agreement(), Refusal.EXCLUDED),
    ],
)
def test_each_reason_has_its_name(rows, agreed, reason) -> None:
    codes = refusals(rows, agreed, NOW_NS, PARTIES)
    assert codes.tolist() == [reason]
    assert explain(rows, agreed, NOW_NS, PARTIES)[0] == reason
    assert count(codes) == ({} if reason == Refusal.NONE else {reason.name.lower(): 1})


@pytest.mark.parametrize("now_ns", [FROM_NS - 1, UNTIL_NS])
def test_the_clock_counts_as_well_as_the_update(now_ns) -> None:
    assert not release(updates(3), agreement(), now_ns, PARTIES).any()


def test_sensors_offsets_and_identity_stay_at_home() -> None:
    rows = updates(2, identity_kind=IdentityKind.MMSI, identity=b"276000001")
    given = transform(rows, agreement())
    assert (given.sensors == -1).all()
    assert (given.known_offset == -1).all()
    assert (given.identity_kind == IdentityKind.NONE).all()
    assert (given.identity == b"").all()
    assert np.array_equal(given.state, rows.state, equal_nan=True)
    assert rows.identity[0] == b"276000001"


def test_identity_goes_out_where_agreed_but_never_of_what_may_be_a_human() -> None:
    agreed = agreement(more="share_identity = true", classes='["sea_vessel", "human"]')
    rows = updates(3, identity_kind=IdentityKind.MMSI, identity=b"276000001")
    rows.classes[1] = of_class("human")
    rows.classes[2] = of_class("human") + of_class("sea_vessel")
    given = transform(rows, agreed)
    assert given.identity.tolist() == [b"276000001", b"", b""]
    assert recheck(given, agreed, NOW_NS, PARTIES).tolist() == [0, 0, 0]
    assert recheck(rows, agreed, NOW_NS, PARTIES).tolist() == [
        0, Refusal.IDENTITY, Refusal.IDENTITY,
    ]  # fmt: skip
    assert recheck(given, agreement(), NOW_NS, PARTIES)[0] == Refusal.IDENTITY


def test_a_doubt_about_an_identity_goes_to_those_who_are_given_identities() -> None:
    rows = updates(4, reason=[*ABOUT_IDENTITY, UpdateReason.MISSED, UpdateReason.DOUBTED])
    rows.classes[3] = of_class("human")
    agreed = agreement(more="share_identity = true", classes='["sea_vessel", "human"]')
    told = transform(rows, agreed)
    assert told.reason.tolist() == [
        *ABOUT_IDENTITY, UpdateReason.MISSED, UpdateReason.DETECTED,
    ]  # fmt: skip
    assert recheck(told, agreed, NOW_NS, PARTIES).tolist() == [0, 0, 0, 0]
    silent = transform(rows, agreement())
    plain = UpdateReason.DETECTED
    assert silent.reason.tolist() == [plain, plain, UpdateReason.MISSED, plain]
    assert recheck(told, agreement(), NOW_NS, PARTIES).tolist()[:3] == [
        Refusal.IDENTITY, Refusal.IDENTITY, 0,
    ]  # fmt: skip
    assert rows.reason[0] == UpdateReason.DOUBTED


def test_other_parties_get_nothing() -> None:
    for parties in (Parties("north", "west"), Parties("south", "north"), Parties("x", "south")):
        assert not release(updates(2), agreement(), NOW_NS, parties).any()
    assert release(at(INSIDE), agreement(), NOW_NS, PARTIES).all()
