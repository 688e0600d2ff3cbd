"""The oracle must find what is wrong: evidence of a sound node is tampered with, bit by bit."""

import time
from dataclasses import replace

import numpy as np
import psycopg
import pytest

from benchmarks.chaos.book import Line
from benchmarks.chaos.oracle import Evidence, judge
from benchmarks.chaos.partner import AGREEMENT, PARTIES, PARTNER, agreement_text
from benchmarks.chaos.traffic import NODE, SENSORS, Key, Traffic, site_sensors
from benchmarks.equivalence import outputs, records, undisturbed
from config import load_site
from ingest.shedding import decisions
from journal.codec import pack_output
from journal.log import SegmentedLog
from model.errors import Reason
from model.foreign import ForeignUpdates
from model.records import Kind
from model.time import NS_PER_S
from model.tracks import TrackUpdates
from sharing.agreement import parse_agreement
from sharing.lane import Lane
from sharing.ledger import Ledger
from sharing.receive import Receiver
from sharing.wire import encode_batch
from storage.writer import Writer
from vedette.sitefile import write_site

pytestmark = [pytest.mark.database]

REPORTS = 180
REPEATED, LET_GO = 20, 33
"""Places in the journal of a report that comes again, and of one that is let go."""


class OfflineNode:
    """Journal, outputs, database and ledger of a node, made without any process."""

    def __init__(self, folder, dsn) -> None:
        self.data, self.dsn = folder / "data", dsn
        now_ns = time.time_ns()
        write_site(
            folder / "site.toml",
            {
                "node": {"name": NODE, "data_dir": "data"},
                "region": {"lat": 51.57, "lon": 22.92},
                "database": {"dsn": dsn},
                "sensor": site_sensors(),
            },
        )
        traffic = Traffic(1, range(SENSORS), "b1")
        sent = [traffic.next(now_ns + n * NS_PER_S // 90) for n in range(REPORTS)]
        rows = [(Kind.CONFIG, "", load_site(folder / "site.toml").engine_payload())]
        rows += [(Kind.MESSAGE, one.topic, one.payload) for one in sent]
        rows.insert(REPEATED, rows[REPEATED - 5])
        rows.insert(
            LET_GO + 1, (Kind.SHED, "", decisions(Reason.SHED_STALE, np.array([LET_GO]))[0])
        )
        self.books = [Line(now_ns, one.key, one.digest) for one in sent]
        with SegmentedLog(self.data / "journal") as journal:
            journal.append(
                [
                    (kind, now_ns + n * NS_PER_S // 90, topic, payload, 0)
                    for n, (kind, topic, payload) in enumerate(rows)
                ]
            )
        self.write_outputs(undisturbed(self.data / "journal", step=11))
        writer = Writer(dsn, NODE)
        writer.connect()
        writer.write(outputs(self.data / "outputs"), 100)
        writer.close()
        self._share(now_ns)

    def write_outputs(self, batches) -> None:
        for old in (self.data / "outputs").glob("*"):
            old.unlink()
        with SegmentedLog(self.data / "outputs", durable=False) as log:
            log.append([(Kind.OUTPUT, time.time_ns(), "", pack_output(b), 0) for b in batches])

    def _share(self, now_ns) -> None:
        self.agreement = parse_agreement(agreement_text(now_ns), "south.toml")
        receiver = Receiver({NODE: self.agreement}, PARTNER)
        found = outputs(self.data / "outputs")
        updates = TrackUpdates.concat([batch.updates for batch in found])
        with Ledger(self.data / "partners" / PARTNER / AGREEMENT, PARTIES, AGREEMENT) as ledger:
            lane = Lane(ledger, PARTIES)
            lane.put(self.agreement)
            lane.review(now_ns)
            entry = lane.take(updates, found[-1].through, int(updates.known[-1]))
            assert entry is not None
            topic = f"vedette/{NODE}/shared/{PARTNER}/{AGREEMENT}/live"
            clock = int(updates.known[-1])
            self.taken = ForeignUpdates.concat(
                [
                    receiver.take(encode_batch(batch), topic, clock, 1).rows
                    for batch in lane.batches(entry, lambda: clock)
                ]
            )

    def judge(self, **changes):
        evidence = Evidence(self.books, self.data, self.dsn, self.agreement, self.taken)
        return judge(replace(evidence, **changes))

    def execute(self, statement, *values) -> None:
        with psycopg.connect(self.dsn) as connection:
            assert connection.execute(statement, values).rowcount > 0


@pytest.fixture
def node(tmp_path, migrated_database):
    return OfflineNode(tmp_path, migrated_database)


def test_a_sound_node_is_sound(node):
    verdict = node.judge()
    assert verdict.problems == []
    assert verdict.counts["sent"] == verdict.counts["journaled"] == REPORTS
    assert verdict.counts["stored"] == REPORTS - 1
    assert (verdict.counts["let_go"], verdict.counts["repeated"]) == (1, 1)
    assert verdict.counts["given"] == verdict.counts["taken"] > 50


def test_what_was_sent_and_is_not_there_is_missing(node):
    line = Line(0, Key("radar-1", "b1", 999), "00")
    verdict = node.judge(books=[*node.books, line])
    assert verdict.counts["missing"] == 1
    assert "seq=999" in verdict.problems[0]


def test_a_row_that_is_gone_from_the_database_is_missing(node):
    node.execute("DELETE FROM vedette.reports WHERE known_offset = 50")
    verdict = node.judge()
    assert verdict.counts["missing"] == 1
    assert any("the database cannot be read back" in one for one in verdict.problems)


def test_what_was_never_sent_is_invented(node):
    verdict = node.judge(books=node.books[:-1])
    assert verdict.counts["invented"] == 2  # in the journal, and in the database
    assert verdict.counts["missing"] == 0


def test_other_bytes_than_were_sent_are_changed(node):
    books = [*node.books[:-1], replace(node.books[-1], digest="00" * 32)]
    assert node.judge(books=books).counts["changed"] == 1


def test_a_row_under_another_name_is_changed(node):
    node.execute("UPDATE vedette.reports SET seq = seq + 1 WHERE known_offset = 60")
    verdict = node.judge()
    assert verdict.counts["changed"] == 1
    assert verdict.counts["twice"] == 1  # there are two of the next one then
    assert verdict.counts["missing"] == 1


def test_a_report_stored_twice_is_told(node):
    node.execute(
        "INSERT INTO vedette.reports (node, known_offset, report, time, time_ns, received_ns,"
        " sensor, boot, seq, mode) SELECT node, known_offset, 1, time, time_ns, received_ns,"
        " sensor, boot, seq, mode FROM vedette.reports WHERE known_offset = 70"
    )
    assert node.judge().counts["twice"] == 1


def test_what_was_refused_is_told(node):
    node.execute("UPDATE vedette.quarantine SET reason = 'bad_field'")
    verdict = node.judge()
    assert verdict.counts["refused"] == 1
    assert verdict.counts["missing"] == 1


def test_an_output_that_differs_in_a_bit_is_told(node):
    batches = outputs(node.data / "outputs")
    state = batches[-1].updates.state.copy()
    state[-1, 0] += 1e-15
    batches[-1] = replace(batches[-1], updates=replace(batches[-1].updates, state=state))
    node.write_outputs(batches)
    problems = "\n".join(node.judge().problems)
    assert "updates.state: 1 of" in problems
    assert "database updates" in problems


def test_an_output_record_that_is_not_there_is_told(node):
    batches = outputs(node.data / "outputs")
    node.write_outputs([*batches[:4], *batches[5:]])
    assert any("follow those of" in one for one in node.judge().problems)


def test_history_that_differs_in_a_bit_is_told(node):
    node.execute(
        "UPDATE vedette.tracks SET east_mps = east_mps + 1e-12 WHERE known_offset ="
        " (SELECT max(known_offset) FROM vedette.tracks)"
    )
    assert any("database updates.state" in one for one in node.judge().problems)


def test_a_database_that_stops_short_is_told(node):
    node.execute("UPDATE vedette.writer_cursor SET through = 40")
    assert any("the database ends at input 40" in one for one in node.judge().problems)


def test_a_row_that_the_partner_did_not_get_or_got_twice_is_told(node):
    rows = range(len(node.taken))
    for kept in ([*rows[:-1]], [*rows, rows[3]], [*rows[:5], *rows[6:], rows[4]]):
        problems = node.judge(taken=node.taken.take(kept)).problems
        assert any("the partner took" in one for one in problems)


def test_a_row_that_changed_on_its_way_to_the_partner_is_told(node):
    state = node.taken.updates.state.copy()
    state[7, 1] += 1e-12
    taken = replace(node.taken, updates=replace(node.taken.updates, state=state))
    assert any("partner.state: 1 of" in one for one in node.judge(taken=taken).problems)


def test_a_ledger_that_lacks_what_the_agreement_releases_is_told(node):
    folder = node.data / "partners" / PARTNER / AGREEMENT
    kept = [
        (one.kind, one.received_ns, one.topic, one.payload, 0)
        for one in records(folder)
        if one.kind != Kind.OUTPUT
    ]
    for old in folder.glob("*"):
        old.unlink()
    with SegmentedLog(folder) as log:
        log.append(kept)
    assert any("the partner took" in one or "ledger" in one for one in node.judge().problems)
