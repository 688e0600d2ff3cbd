"""Links to partners in the status: what the core says, put together with the publishers' files."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from config import load_site
from config.schema import LineTable
from journal.log import SegmentedLog
from link.settings import ClientSettings
from model.detections import Mode
from model.records import Kind
from model.time import NS_PER_S
from sharing.answers import Ack
from sharing.release import Parties
from tests.node.site import until, write_site
from tests.sharing.samples import text, updates
from vedette.partner_status import MOST_BYTES, SILENT_S, PartnerGauges, PartnerStatus
from vedette.publishing import Publication, Publishing
from vedette.serving import NodeSource, Serve

NOW = 1_790_000_000 * NS_PER_S
GRACE = round(SILENT_S * NS_PER_S)
PARTIES = Parties("north", "south", Mode.LIVE)

LINK: Mapping[str, Any] = {
    "node": "south",
    "connected": True,
    "reason": "",
    "in": [
        {
            "agreement": "s-1",
            "received": 70,
            "gaps": 2,
            "last_ns": NOW - 3 * NS_PER_S,
            "refused": {"bad_chain": 1, "loop": 0},
            "held": 4,
            "why_silent": "",
        }
    ],
}
LANE: Mapping[str, Any] = {
    "state": "valid",
    "valid_until": "2026-12-31T20:00:00Z",
    "last_seq": 12,
    "acked_seq": 9,
    "last_ack_s": 0.4,
    "head_agrees": True,
}
DOCUMENT: Mapping[str, Any] = {
    "pid": 1,
    "broker": "127.0.0.1:1883",
    "connected": True,
    "reason": "",
    "stalled": "",
    "agreement": "a-1",
    "problems": [],
    "damaged": {},
    "agreements": {"a-0": {**LANE, "state": "none"}, "a-1": LANE},
}


def core(**changes: Any) -> dict[str, Any]:
    return {"time_ns": NOW, "partners": [{**LINK, **changes}]}


def put(folder: Path, content: Any, written_ns: int = NOW) -> Path:
    path = folder / "partners" / "south.status.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    os.utime(path, ns=(written_ns, written_ns))
    return path


def status(folder: Path, **gives: bool) -> PartnerStatus:
    """As after a start ten seconds ago."""
    made = PartnerStatus(folder, gives or {"south": True}, NOW - 10 * NS_PER_S)
    made.look(NOW)
    return made


def given_rows(folder: Path, content: Any, written_ns: int = NOW, now_ns: int = NOW) -> Any:
    put(folder, content, written_ns)
    return status(folder).rows(core(), now_ns)[0]["out"]


def test_both_sides_of_a_link_stand_in_one_row(tmp_path) -> None:
    put(tmp_path, DOCUMENT, NOW - NS_PER_S // 2)
    [row] = status(tmp_path).rows(core(), NOW)
    first, second = row.pop("out")
    assert row == {
        "node": "south",
        "connected": True,
        "reason": "",
        "in": [
            {
                "agreement": "s-1",
                "received": 70,
                "gaps": 2,
                "last_s": 3.0,
                "refused": {"bad_chain": 1},
                "held": 4,
                "why_silent": "",
            }
        ],
    }
    assert first == {
        "agreement": "a-1",
        "state": "active",
        "sent": 12,
        "acked": 9,
        "last_ack_s": 0.9,  # with the age of the file
        "no_ack_s": None,
        "head_agrees": True,
        "why_silent": "",
    }
    assert (second["agreement"], second["state"], second["why_silent"]) == ("a-0", "ended", "")


def test_a_partner_of_whom_nothing_is_said_yet_is_not_known(tmp_path) -> None:
    made = PartnerStatus(tmp_path, {"south": True, "east": False}, NOW)
    assert made.look(NOW)
    south, east = made.rows({}, NOW + GRACE)
    assert (south["connected"], south["reason"], south["in"]) == (None, "", [])
    [row] = south["out"]
    assert (row["agreement"], row["state"], row["why_silent"]) == ("", "not known", "")
    assert {row[key] for key in ("sent", "acked", "last_ack_s")} == {None}
    assert east["out"] == []  # we give it nothing
    [row] = made.rows({}, NOW + GRACE + 1)[0]["out"]
    assert row["why_silent"] == "its publisher has not said anything yet"


def test_a_publisher_that_stopped_writing_is_silent_and_keeps_its_counts(tmp_path) -> None:
    first, second = given_rows(tmp_path, DOCUMENT, NOW - 12 * NS_PER_S)
    assert first["why_silent"] == "its publisher has been silent for 12 s"
    assert (first["sent"], first["acked"], first["last_ack_s"]) == (12, 9, 12.4)
    assert second["why_silent"] == ""
    assert not given_rows(tmp_path, DOCUMENT, NOW - GRACE)[0]["why_silent"]
    # the clock was set back: who is alive writes with the clock as it is now
    assert "silent for 60 s" in given_rows(tmp_path, DOCUMENT, NOW + 60 * NS_PER_S)[0]["why_silent"]


def test_a_file_of_the_last_life_alarms_nobody_while_the_publisher_starts(tmp_path) -> None:
    put(tmp_path, DOCUMENT, NOW - 3600 * NS_PER_S)
    made = PartnerStatus(tmp_path, {"south": True}, NOW)
    made.look(NOW)
    [row] = made.rows(core(), NOW + NS_PER_S)[0]["out"]
    assert (row["state"], row["why_silent"]) == ("not known", "")
    assert "silent for" in made.rows(core(), NOW + GRACE + 1)[0]["out"][0]["why_silent"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"stalled": "the disk is full"}, ("active", "stalled: the disk is full")),
        (
            {"connected": False, "reason": "refused"},
            ("active", "our broker 127.0.0.1:1883: refused"),
        ),
        (
            {"agreements": {"a-1": {**LANE, "state": "expired"}}},
            ("expired", "the agreement ended at 2026-12-31T20:00:00Z"),
        ),
        (
            {"agreements": {"a-1": {**LANE, "state": "not_yet_valid", "valid_from": "2027"}}},
            ("not valid yet", "the agreement begins at 2027"),
        ),
        (
            {"agreement": None, "problems": ["a.toml: missing"]},
            ("none", "a.toml: missing"),
        ),
        ({"agreement": None}, ("none", "no agreement is known")),
        ({"agreements": {}, "damaged": {"a-1": "torn"}}, ("damaged", "torn")),
    ],
)
def test_why_nothing_is_sent_stands_in_words(tmp_path, changes, wanted) -> None:
    row = given_rows(tmp_path, {**DOCUMENT, **changes})[0]
    assert (row["state"], row["why_silent"]) == wanted


def test_how_long_no_ack_has_come_counts_from_the_life_of_the_publisher(tmp_path) -> None:
    lane = {**LANE, "acked_seq": None, "last_ack_s": None}
    document = {**DOCUMENT, "agreements": {"a-1": lane}}
    put(tmp_path, document)
    made = status(tmp_path)
    assert made.rows(core(), NOW)[0]["out"][0]["no_ack_s"] == 0.0
    later = NOW + 4 * NS_PER_S
    put(tmp_path, document, later)
    made.look(later)
    assert made.rows(core(), later)[0]["out"][0]["no_ack_s"] == 4.0
    put(tmp_path, {**document, "pid": 2}, later + NS_PER_S)
    made.look(later + NS_PER_S)
    assert made.rows(core(), later + NS_PER_S)[0]["out"][0]["no_ack_s"] == 0.0


def test_files_are_read_once_a_second_at_most(tmp_path) -> None:
    made = status(tmp_path)
    put(tmp_path, DOCUMENT)
    assert not made.look(NOW + NS_PER_S - 1)
    assert made.rows(core(), NOW)[0]["out"][0]["state"] == "not known"
    assert made.look(NOW + NS_PER_S)
    assert made.rows(core(), NOW)[0]["out"][0]["state"] == "active"
    assert made.look(NOW - 3600 * NS_PER_S)  # the clock was set back


def test_of_a_core_that_is_silent_the_link_is_not_known(tmp_path) -> None:
    made = status(tmp_path, south=False)
    away = core(connected=False, reason="refused")
    assert made.rows(away, NOW)[0]["connected"] is False
    [row] = made.rows(away, NOW + GRACE + 1)
    assert (row["connected"], row["reason"]) == (None, "")
    assert row["in"][0]["last_s"] == pytest.approx(8.0)


# -- what a file may hold


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LANES = st.dictionaries(st.sampled_from([*LANE, "valid_from"]), PLAIN, max_size=7)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(DOCUMENT, PLAIN),
        "agreement": st.just("a-1") | PLAIN,
        "agreements": st.dictionaries(st.just("a-1") | st.text(), LANES | PLAIN, max_size=3)
        | PLAIN,
    },
)


@given(st.binary(max_size=60) | DOCUMENTS | PLAIN, PLAIN)
@example(b'{"agreements": {"\\ud800": {"last_seq": 1e999, "state": "\\udfff"}}}', [{"in": [{}]}])
@example(b"[" * 100_000, None)
@example(b" " * (MOST_BYTES + 1), None)
@example(b"", [{"node": "south", "in": [{"last_ns": 10**400, "received": 10**400}]}])
@example({**DOCUMENT, "agreements": {"a-1": {**LANE, "last_ack_s": 10**400}}}, None)
def test_whatever_a_file_holds_the_status_is_plain_json(tmp_path_factory, content, told) -> None:
    folder = tmp_path_factory.mktemp("data")
    put(folder, content)
    made = status(folder)
    rows = made.rows({"time_ns": NOW, "partners": told}, NOW)
    assert rows[0]["node"] == "south"
    assert rows[0]["out"]
    json.dumps(rows, allow_nan=False, ensure_ascii=False).encode()
    gauges(rows)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b'{"pid": 1, "agree', "is not JSON"), (b"[1]", "no object"), (b"\xff\xfe", "is not JSON")],
)
def test_a_file_that_cannot_be_used_is_said_so(tmp_path, content, said) -> None:
    [row] = given_rows(tmp_path, content)
    assert row["state"] == "not known"
    assert said in row["why_silent"]


def test_a_folder_in_the_place_of_the_file_is_said_so(tmp_path) -> None:
    (tmp_path / "partners" / "south.status.json").mkdir(parents=True)
    [row] = status(tmp_path).rows(core(), NOW)[0]["out"]
    assert "cannot be used" in row["why_silent"]


# -- a real publisher's file


def test_what_a_publisher_writes_is_understood(tmp_path) -> None:
    agreement = tmp_path / "south.toml"
    agreement.write_text(text(until="2099-01-01T00:00:00Z"))
    broker = ClientSettings("127.0.0.1", 1, "north-to-south")
    publisher = Publishing(Publication(PARTIES, agreement, tmp_path, broker))
    SegmentedLog(tmp_path / "outputs", durable=False).close()
    publisher.turn()
    lane = publisher._lanes["a-1"]
    now_ns = lane.agreement.valid_from_ns if lane.agreement else 0
    lane.take(updates(3, valid=now_ns, known=now_ns, stale=now_ns + NS_PER_S), 5, now_ns)
    lane.hear(Ack("a-1", 2, 2, [], lane.ledger.head_at(2).hex()), 0.0)
    until(lambda: publisher.turn() or publisher._post.status()["reason"])
    publisher.write_status()
    written = json.loads((tmp_path / "partners" / "south.status.json").read_text())
    made = PartnerStatus(tmp_path, {"south": True}, written["time_ns"] - 10 * NS_PER_S)
    made.look(written["time_ns"])
    [row] = made.rows({}, written["time_ns"])[0]["out"]
    publisher.close()
    assert (row["agreement"], row["state"], row["sent"], row["acked"]) == ("a-1", "active", 3, 2)
    assert row["last_ack_s"] > 0
    assert row["head_agrees"] is True
    assert row["why_silent"].startswith("our broker 127.0.0.1:1: ")


# -- metrics, and the whole source


def gauges(rows: Any) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    made = PartnerGauges(registry)
    made.put(rows)
    made.put(rows)
    return {
        (sample.name, sample.labels["partner"]): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_gauges_say_what_is_known_and_nothing_else(tmp_path) -> None:
    put(tmp_path, DOCUMENT)
    found = gauges(status(tmp_path, south=True, east=True).rows(core(), NOW))
    assert found == {
        ("vedette_partner_link_up", "south"): 1.0,
        ("vedette_partner_updates_sent", "south"): 24.0,
        ("vedette_partner_updates_acked", "south"): 18.0,
        ("vedette_partner_updates_behind", "south"): 3.0,
        ("vedette_partner_updates_received", "south"): 70.0,
        ("vedette_partner_gaps", "south"): 2.0,
    }


PARTNERS = """
[[partner]]
id = "south"
agreement = "south.toml"
[[partner]]
id = "east"
receive_agreement = "east.toml"
broker = { host = "127.0.0.1", port = 1 }
"""


@pytest.fixture
def serve(tmp_path) -> Any:
    """A serve process that was not started, of a node with two partners."""
    path = write_site(tmp_path)
    path.write_text(path.read_text() + PARTNERS)
    return Serve(load_site(path))


def test_the_source_tells_of_partners_and_is_well_without_them(serve) -> None:
    log = SegmentedLog(serve.site.data_dir / "outputs", durable=False)
    now_ns = serve.source.status()["serve"]["time_ns"]
    told = {
        "time_ns": now_ns,
        "broker": {"name": "b", "connected": True},
        "partners": [
            {"node": "south", "connected": None, "reason": "", "in": []},
            {"node": "east", "connected": False, "reason": "refused", "in": []},
        ],
        "metrics": "",
    }
    log.append([(Kind.STATUS, now_ns, "", json.dumps(told).encode(), 0)])
    log.close()
    assert serve._look() == 1
    document = serve.source.status()
    south, east = document["partners"]
    assert "partners" not in document["core"]
    assert (south["node"], south["out"][0]["state"]) == ("south", "not known")
    assert (east["node"], east["connected"], east["reason"]) == ("east", False, "refused")
    well, why = serve.source.healthy()
    assert not well  # there is no database here
    assert "east" not in why
    assert "refused" not in why
    assert 'vedette_partner_link_up{partner="east"} 0.0' in serve.source.metrics()
    assert serve.source.foreign() == []


def test_the_sites_own_lines_are_passed_on(serve) -> None:
    assert serve.source.status()["lines"] == []
    line = LineTable(name="border", points=[(59.1, 28.0), (59.2, 28.1)])
    site = replace(serve.site, lines=(line,))
    source = NodeSource(site, serve.tail, serve.storing, serve.partners)
    assert source.status()["lines"] == [{"name": "border", "points": [[59.1, 28.0], [59.2, 28.1]]}]
