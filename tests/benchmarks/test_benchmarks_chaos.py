"""The parts of the fault campaign: plan, books, outbox, timeline, campaign. No node runs here."""

import json
import signal
import socket
import subprocess
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks.chaos import campaign as campaigns
from benchmarks.chaos.book import Book, Progress, read_book
from benchmarks.chaos.campaign import Campaign, Settings, by_kind, totals
from benchmarks.chaos.evidence import Series, recoveries
from benchmarks.chaos.growth import Measured, soak_page
from benchmarks.chaos.oracle import Verdict
from benchmarks.chaos.outbox import LAST_AGAIN_S, Outbox
from benchmarks.chaos.plan import Action, Fault, Target, plan
from benchmarks.chaos.processes import alive, children, command, freeze, signal_all, tree
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.report import write_report
from benchmarks.chaos.round import Done, Outcome
from benchmarks.chaos.slope import slope
from benchmarks.chaos.traffic import SENSORS, Traffic
from benchmarks.chaos.wire import key_of
from tests.node.site import until

SECOND = 1_000_000_000


def messages(count=9, boot="b1"):
    traffic = Traffic(7, range(SENSORS), boot)
    return [traffic.next(number * SECOND) for number in range(count)]


def test_a_plan_is_a_function_of_seed_number_and_size():
    assert plan(3, 4, 50) == plan(3, 4, 50)
    assert plan(3, 4, 50) != plan(3, 5, 50) != plan(4, 5, 50)
    drawn = plan(1, 0, 1_000)
    assert {fault.target for fault in drawn.faults} == set(Target)
    assert [fault.at for fault in drawn.faults] == sorted(fault.at for fault in drawn.faults)
    assert drawn.reports > drawn.faults[-1].at
    freezes = [fault for fault in drawn.faults if fault.action == Action.FREEZE]
    assert 0.3 < len(freezes) / 1_000 < 0.5
    assert all(0.1 <= fault.seconds <= 5.0 for fault in freezes)
    assert all(fault.target != Target.BACKEND for fault in freezes)


def test_every_form_of_a_report_tells_which_it_is():
    sent = messages(3 * SENSORS)
    assert [key_of(one.topic, one.payload) for one in sent] == [one.key for one in sent]
    assert len({one.key for one in sent}) == len({one.digest for one in sent}) == len(sent)
    with pytest.raises(ValueError, match="on the topic"):
        key_of(sent[0].topic, sent[3].payload)
    with pytest.raises(ValueError, match="truncated"):
        key_of(sent[2].topic, sent[2].payload[:-3])


def test_a_book_forgets_the_line_that_a_kill_cut_short_and_nothing_else(tmp_path):
    path = tmp_path / "book"
    sent = messages()
    progress = Progress([path])
    with Book(path) as book:
        book.note(sent[:3], 5)
    assert progress.look() == 3
    with path.open("ab") as file:
        file.write(b"6 radar-1 b1")
    assert progress.look() == 3
    assert len(list(read_book(path))) == 3
    with Book(path) as book:
        assert book.lines == 3
        book.note(sent[3:5], 7)
        assert book.lines == 5
    lines = list(read_book(path))
    assert [line.key for line in lines] == [one.key for one in sent[:5]]
    assert [line.digest for line in lines] == [one.digest for one in sent[:5]]
    assert [line.made_ns for line in lines] == [5, 5, 5, 7, 7]


def test_an_outbox_holds_until_released_repeats_until_cleared_and_outlives_its_process(tmp_path):
    sent = messages()
    outbox = Outbox(tmp_path / "outbox")
    outbox.put(sent[:6])
    assert outbox.due(0.0) == []
    outbox.release()
    assert outbox.due(0.0) == sent[:6]
    assert outbox.due(1.0) == []
    outbox.clear([sent[0].key, sent[8].key])
    assert outbox.due(LAST_AGAIN_S) == sent[1:6]
    outbox.close()
    again = Outbox(tmp_path / "outbox")
    assert again.messages == sent[1:6]
    assert again.due(0.0) == []  # it may not have been written down elsewhere
    again.put(sent[6:])
    again.release()
    assert again.due(0.0) == sent[1:]
    again.clear([one.key for one in sent])
    assert len(again) == 0
    again.close()


def test_what_is_frozen_thaws_by_itself():
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"]) as shell:
        until(lambda: children(shell.pid))
        pids = tree(shell.pid)
        assert len(pids) == 2
        assert "sleep 60" in command(shell.pid)
        with freeze(pids, 0.3) as thaws:
            until(lambda: all(_state(pid) == "T" for pid in pids))
            assert thaws.wait() == 0
        until(lambda: all(_state(pid) != "T" for pid in pids))
        signal_all(pids, signal.SIGKILL)
    assert not alive(shell.pid)
    until(lambda: not any(alive(pid) for pid in pids))
    signal_all(pids, signal.SIGCONT)  # what is gone is passed over


def _state(pid):
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - a file of the kernel
        return file.read().rsplit(")", 1)[1].split()[0]


def test_a_proxy_passes_on_stands_still_and_cuts():
    with socket.create_server(("127.0.0.1", 0)) as server, Proxy(server.getsockname()[1]) as proxy:
        clients, servers = [], []
        for _ in range(2):
            clients.append(socket.create_connection(("127.0.0.1", proxy.port), 10.0))
            servers.append(server.accept()[0])
            clients[-1].sendall(b"there")
            assert servers[-1].recv(10) == b"there"
            servers[-1].sendall(b"back")
            assert clients[-1].recv(10) == b"back"
        proxy.stand_still()
        clients[1].sendall(b"later")
        servers[1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            servers[1].recv(10)
        servers[1].settimeout(10.0)
        proxy.flow()
        assert servers[1].recv(10) == b"later"
        assert proxy.cut(every=2) == 1
        with pytest.raises(ConnectionResetError):
            clients[0].recv(10)
        clients[1].sendall(b"still")
        assert servers[1].recv(10) == b"still"
        clients[1].close()
        assert servers[1].recv(10) == b""
        server.close()  # nobody is there any more
        with socket.create_connection(("127.0.0.1", proxy.port), 10.0) as client:
            assert client.recv(10) == b""
        for one in (*clients, *servers):
            one.close()


def moments(*seconds):
    return np.array([round(one * SECOND) for one in seconds], dtype=np.int64)


def series(**given):
    names = ("sent", "journaled", "messages", "published", "stored", "given")
    return Series(**{name: given.get(name, moments()) for name in names})


def test_recovery_counts_to_the_first_thing_that_the_target_did_again():
    faults = [
        (Fault(0, 0, Target.CORE, Action.KILL, 0.0, 0), 10 * SECOND),
        (Fault(1, 0, Target.SERVE, Action.FREEZE, 2.0, 0), 30 * SECOND),
        (Fault(2, 0, Target.BROKER, Action.KILL, 1.0, 0), 50 * SECOND),
        (Fault(3, 0, Target.SUPERVISOR, Action.KILL, 0.5, 0), 51 * SECOND),
    ]
    found = series(
        published=moments(9.9, 12.5, 13, 51.2, 51.4, 55.0, 55.1),
        stored=moments(29, 33.5),
        messages=moments(49, 54),
    )
    rows = recoveries(faults, found)
    assert [row["seconds"] for row in rows] == [2.5, 1.5, 4.0, 4.0]
    assert [row["alone"] for row in rows] == [True, True, False, True]
    assert [row["away"] for row in rows] == [0.0, 2.0, 1.0, 0.5]
    assert recoveries(faults[:1], series(published=moments(9)))[0]["seconds"] is None


def outcome(number=0, problems=()):
    drawn = plan(5, number, 4)
    made = Outcome(drawn, [Done(one, (one.number + 1) * SECOND, 1, "x<y") for one in drawn.faults])
    made.verdict = Verdict({"sent": 10, "missing": len(problems)}, list(problems))
    made.series = series(sent=moments(0, 1, 2), journaled=moments(1, 2, 3), stored=moments(3, 4))
    made.series.covered, made.series.latency_ms = moments(1, 1.1), np.array([3.0, 5.0])
    made.recovery = recoveries([(one.fault, one.time_ns) for one in made.done], made.series)
    made.servers = "broker & database"
    return made


def test_a_campaign_goes_on_where_it_was_and_its_page_says_all(tmp_path, monkeypatch):
    ran = []

    def run_round(one, keep, _say):
        ran.append(one)
        return outcome(one.number, ["missing 1: <b>offset</b> 7"] if one.number == 1 else [])

    monkeypatch.setattr(campaigns, "run_round", run_round)
    campaign = Campaign(tmp_path, Settings(seed=5, faults=10, per_round=4))
    assert [len(one.faults) for one in campaign.rounds] == [4, 4, 2]
    campaign.run(campaign.left()[0], lambda *_: None)
    with pytest.raises(FileExistsError):
        Campaign(tmp_path, Settings(seed=6, faults=10))
    again = Campaign(tmp_path, None)
    assert [one.number for one in again.left()] == [1, 2]
    for one in again.left():
        again.run(one, lambda *_: None)
    assert ran == plan_of(5)
    assert not again.left()
    counts = totals(again.ended())
    assert (counts["rounds"], counts["unsound"], counts["faults"]) == (3, 1, 12)
    assert sum(by_kind(again.ended()).values()) == 12
    text = write_report(again).read_text()
    assert "NOT SOUND" in text
    assert "&lt;b&gt;offset" in text
    assert "--seed 5" in text
    assert "--only 1" in text
    pictures = text.split("<svg")[1:]
    assert len(pictures) == 3
    for picture in pictures:
        ET.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")  # noqa: S314 - our own
    assert "http" not in text.replace("<!doctype html>", "")
    with pytest.raises(FileNotFoundError):
        Campaign(tmp_path / "none", None)


def plan_of(seed):
    return [plan(seed, 0, 4), plan(seed, 1, 4), plan(seed, 2, 2)]


def test_a_slope_is_not_moved_by_outliers_and_knows_how_sure_it_is():
    rng = np.random.default_rng(1)
    seconds = np.arange(0.0, 3_600.0, 5.0)
    flat = 200.0 + rng.normal(0.0, 0.5, len(seconds))
    flat[::50] += 300.0
    still = slope(seconds, flat)
    assert still.low <= 0.0 <= still.high
    assert abs(still.percent_per_hour) < 0.2
    growing = slope(seconds, flat + 8.0 * seconds / 3_600.0)
    assert growing.low < 8.0 < growing.high
    assert growing.sure_percent_per_hour > 3.0
    assert slope(seconds[:2], flat[:2]).low == -np.inf


def test_the_page_of_a_soak_leaves_gaps_where_nothing_was_measured():
    measured = Measured()
    for second in range(0, 60, 5):
        values = {"core rss MiB": 100.0 + second, "p99 ms": 5.0}
        measured.add(second, values if second != 30 else {"serve rss MiB": 70.0})
    assert len(measured.columns["serve rss MiB"]) == 12
    slopes = {name: measured.slope(name) for name in measured.columns}
    assert slopes["core rss MiB"].per_hour == pytest.approx(3_600.0)
    text = soak_page(measured, slopes, ["core grows"], (1.0, 100.0, "servers"))
    assert "core grows" in text
    picture = "<svg" + text.split("<svg")[1].split("</svg>")[0] + "</svg>"
    assert len(ET.fromstring(picture).findall("polyline")) >= 4  # noqa: S314 - our own


def test_an_outcome_is_plain_data():
    document = json.loads(json.dumps(outcome().document()))
    assert document["series"]["sent"][-1] == 3
    assert document["faults"][0]["what"] == "x<y"
