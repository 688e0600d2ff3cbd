"""The demo's two nodes as their people see them: both pages in a real Chromium, and the plain feed.

The nodes are started by the demo itself (`vedette.demo.Demo`), with its own users and grants.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from journal.reader import LogReader
from link.client import Subscriber
from link.settings import ClientSettings
from model.detections import IdentityKind
from model.records import Kind
from model.taxonomy import CLASS_INDEX, CLASSES
from model.tracks import TrackUpdates, UpdateReason
from sharing.agreement import load_agreement
from sharing.area import released_area
from sharing.entry import document_of, entry_of
from storage.history import History
from tests.console.browser import Browser, Page, find_browser
from tests.node.site import until
from tests.sharing.leaks import leaks_for_people, leaks_in_ledger
from vedette.demo import NODES, Demo
from vedette.demo_node import DemoNode, Subscription
from vedette.demo_sharing import SENSORS

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

MOVING = 30
"""Tracks that move on each page, at least."""

WAIT_S = 90.0
"""Ten processes, two servers each and a browser share what machine there is."""


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo() as demo:
        demo.start()
        for node in demo.nodes.values():
            demo.wait_until_up(node, time.monotonic() + WAIT_S)
        yield demo
        assert demo.failed() is None


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("no chromium on the PATH")
    with Browser.start(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


ROWS = """[...document.querySelectorAll('#table-body tr[data-id]')].map((row) =>
  [row.cells[0].textContent, row.cells[1].textContent, parseFloat(row.cells[3].textContent)])"""
"""Number, whose it is, and speed of every track in the table."""

BASE_DRAWN = """document.querySelector('#base').dataset.state === 'drawn'
  || document.querySelector('#base-note').dataset.fault === 'true'"""
"""The base map in view is complete, or there is none and the page says so."""

PLACES = """fetch('/api/tracks?status=confirmed,coasting&origin=own,foreign')
  .then((answer) => answer.json())
  .then((body) => body.tracks.map((one) => [one.node, one.number, one.lat, one.lon]))"""


def places(page: Page) -> dict[tuple[str, str], tuple[float, float]]:
    """Where each track is, by node and number, asked for by the page."""
    return {(node, number): (lat, lon) for node, number, lat, lon in page.run(PLACES)}


def moved(page: Page, name: str, pause_s: float = 4.0) -> set[tuple[str, str]]:
    """Tracks in the page's table whose place changed by over 0.5 m, by node and number."""
    before = places(page)
    page.linger(pause_s)
    after = places(page)
    shown = {(name if from_ == "own" else from_.strip("‹›"), no) for no, from_, _ in page.run(ROWS)}
    found = set()
    for one in before.keys() & after.keys() & shown:
        north = (after[one][0] - before[one][0]) * 111_000.0
        east = (after[one][1] - before[one][1]) * 58_000.0  # at 58 degrees north
        if np.hypot(north, east) > 0.5:
            found.add(one)
    return found


def tall(page: Page, height: int) -> None:
    """Give the page another height, so that every row of the table is there."""
    size = {"width": 1600, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.call("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.timeout(400)
def test_both_pages_show_what_moves_on_both_sides(demo, browser, tmp_path):
    for name in NODES:
        node = demo.nodes[name]
        page = browser.open(f"{node.url}/")
        page.wait(f"document.querySelector('#table').getAttribute('aria-rowcount') > {MOVING}")
        assert page.run("document.querySelector('#node').textContent") == name
        tall(page, 2600)
        partner = demo.partner(node).name
        page.wait(f"{ROWS}.filter((row) => row[1] === '‹{partner}›').length >= 5", WAIT_S)
        page.wait(f"{ROWS}.filter((row) => row[1] === 'own').length >= 15", WAIT_S)

        def enough(page=page, name=name) -> Any:
            found = moved(page, name)
            return found if len(found) >= MOVING else None

        found = until(enough, WAIT_S, f"{name}: fewer than {MOVING} moving tracks")
        assert {whose for whose, _ in found} == set(NODES)
        tall(page, 900)
        page.run("document.querySelector('#scroll').scrollTop = 0")
        page.linger(1.0)
        page.wait(BASE_DRAWN, WAIT_S)
        page.screenshot(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
        assert page.problems() == []
        assert page.hosts() == {node.url.removeprefix("http://")}
        browser.close_pages()


def test_a_foreign_track_says_whose_it_is_and_by_which_agreement(demo, browser):
    node = demo.nodes["south"]
    page = browser.open(f"{node.url}/")
    page.wait(f"document.querySelector('#table').getAttribute('aria-rowcount') > {MOVING}")
    tall(page, 2600)
    page.wait(f"{ROWS}.some((row) => row[1] === '‹north›')", WAIT_S)
    page.run("document.querySelector('#table-body tr[data-origin=foreign]').cells[0].click()")
    # In one question: a track at the edge of what was agreed may be withdrawn and given again.
    said = "document.querySelector('#details').textContent"
    page.wait(f"['‹north›', 'north-south-exercise'].every((one) => {said}.includes(one))")
    assert page.problems() == []
    browser.close_pages()


def credentials(feed: Subscription) -> tuple[str, str]:
    return feed.username, feed.password_file.read_text().strip()


class Reader:
    """Reads as one user, whatever the broker gives it."""

    def __init__(self, node: DemoNode, user: str, password: str, topic: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        settings = ClientSettings(node.broker.host, node.broker.port, user, user, password)
        self.link = Subscriber(settings, [topic], self._take)

    def _take(self, batch) -> None:
        self.heard += [(message.topic, message.payload) for message in batch.messages]
        self.link.ack(batch.tokens)

    def __enter__(self) -> "Reader":
        self.link.start()
        assert self.link.wait_subscribed(30.0), self.link.status
        return self

    def __exit__(self, *_: object) -> None:
        assert self.link.stop(5.0)


@pytest.mark.parametrize("name", NODES)
def test_the_partners_people_read_what_is_theirs_and_nothing_else(demo, name):
    node = demo.nodes[name]
    partner = demo.partner(node)
    user, password = credentials(node.partners_view(partner))
    with Reader(node, user, password, "#") as reader:
        until(lambda: len(reader.heard) >= 3, WAIT_S)
    lane = f"vedette-exercise/{name}/shared/{partner.name}/{name}-{partner.name}-exercise/live.json"
    assert {topic for topic, _ in reader.heard} == {lane}
    for _, payload in reader.heard:
        alive = [one for one in json.loads(payload)["tracks"] if one["status"] != "deleted"]
        assert all(track["class"] for track in alive)  # one that was withdrawn says nothing else


def test_another_user_of_the_broker_is_given_nothing_of_it(demo):
    """A sensor's credentials read no picture, while somebody else's do."""
    node = demo.nodes["north"]
    user, password = credentials(node.partners_view(demo.partner(node)))
    topic = "vedette-exercise/north/shared/#"
    # The same node's own sensors are another connection of that user: so stop them for a while.
    node.ask_sensors()
    node.end_sensors()
    try:
        other = (SENSORS, node.password(SENSORS))
        with Reader(node, user, password, topic) as good, Reader(node, *other, topic) as bad:
            until(lambda: good.heard, WAIT_S)  # tracks coast and end
        assert bad.heard == []
    finally:
        node.start_sensors()


@pytest.mark.parametrize("name", NODES)
def test_mosquitto_sub_follows_the_feed_for_people(demo, name):
    if shutil.which("mosquitto_sub") is None:
        pytest.skip("mosquitto_sub is not installed")
    node = demo.nodes[name]
    feed = node.partners_view(demo.partner(node))
    command = f"{feed.command} -C 3 -W 60"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=90)  # noqa: S602 - as a person would type it
    assert done.returncode == 0, done.stderr
    batches = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(batches) == 3
    assert all(batch["tracks"] for batch in batches)


def given(node: DemoNode, partner: DemoNode) -> Iterator[TrackUpdates]:
    """Rows that a node has ever given, as its ledger has them; it goes on giving meanwhile."""
    (folder,) = (node.data_dir / "partners" / partner.name).glob("*/")
    with LogReader(folder) as reader:
        offset = reader.start()
        while records := reader.read(offset):
            for record in records:
                if record.kind == Kind.OUTPUT:
                    yield entry_of(folder, record, document_of(folder, record)).rows
            offset = records[-1].offset + 1


@pytest.mark.parametrize("name", NODES)
def test_nothing_is_on_the_wire_that_was_not_agreed(demo, name):
    """What goes out, looked at where it goes out: the receiver's own check has not seen it yet."""
    node = demo.nodes[name]
    partner = demo.partner(node)
    agreement = load_agreement(node.agreement(name, partner.name))
    user, password = credentials(node.partners_view(partner))
    with Reader(node, user, password, "#") as reader:
        until(lambda: len(reader.heard) >= 20, WAIT_S)
    messages = [json.loads(payload) for _, payload in reader.heard]
    assert sum(len(message["tracks"]) for message in messages) >= 40
    assert [line for one in messages for line in leaks_for_people(one, agreement)] == []
    rows = list(given(node, partner))
    assert sum(map(len, rows)) >= 40
    assert leaks_in_ledger(rows, agreement) == []
    # And the receiver, who looks at every row once more, found nothing to refuse.
    status = partner.status()
    assert status["core"]["quarantine"].get("not_agreed", 0) == 0
    (link,) = status["partners"]
    (taken,) = link["in"]
    assert taken["received"] > 0
    assert "not_agreed" not in taken["refused"]
    with psycopg.connect(partner.database.dsn) as connection:
        found = connection.execute(
            "select count(*) from vedette.quarantine where reason = 'not_agreed'"
        ).fetchone()
    assert found == (0,)


def test_what_was_given_is_what_was_agreed_and_no_more_than_that(demo):
    """Read back from the receiver's database, row by row."""
    for name in NODES:
        node = demo.nodes[name]
        history = History(node.database.dsn, name)
        until(lambda history=history: history.foreign_tracks() >= 8, WAIT_S)
        rows = history.foreign()
        updates = rows.updates
        partner = demo.partner(node)
        assert set(rows.nodes) == {partner.name}
        agreement = load_agreement(node.agreement(partner.name, name))
        alive = updates.reason != UpdateReason.WITHDRAWN
        inside = released_area(updates.state[alive, :2], agreement.areas[0])
        assert inside.all()
        best = updates.classes[alive].argmax(axis=1)
        assert set(best.tolist()) <= set(agreement.classes)
        assert CLASS_INDEX["human"] not in agreement.classes
        assert len(set(best.tolist())) >= 3, [CLASSES[one] for one in set(best.tolist())]
        named = updates.identity_kind != IdentityKind.NONE
        assert named.any()  # craft keep their names, as agreed
        # Each side has tracks of its own that stay at home.
        own = History(demo.nodes[partner.name].database.dsn, partner.name).updates()
        assert set(updates.track_id.tolist()) < set(own.track_id.tolist())
