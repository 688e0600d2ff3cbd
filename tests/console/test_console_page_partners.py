"""Partners on the page: their tracks, the filter, and the links."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config import load_site
from journal.codec import pack_output
from journal.log import SegmentedLog
from model.detections import Detections
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.records import Kind
from model.taxonomy import one_hot
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.console.browser import Page
from tests.console.pages import cells, evaluate, middle, opened, text
from tests.node.site import until, write_site
from vedette.serving import Serve

ROW_COUNT = "document.querySelector('#table')?.getAttribute('aria-rowcount')"


def test_foreign_tracks_are_told_apart_and_say_how_they_came(browser, server, source):
    page = opened(browser, server)
    assert cells(page, 1) == ["own"] * len(cells(page, 1))  # sorted by number: X and Y stand last
    page.run("document.querySelector('#origins [data-origin=\"@east\"]').click()")
    page.wait("document.querySelector('#table').getAttribute('aria-rowcount') === '5'")
    assert cells(page, 1) == ["‹east›"] * 4
    assert text(page, "#filtered") == "Only tracks of east are shown; 40 hidden (O: change)"
    assert not page.run("document.querySelector('#filtered').hidden")
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    number = bytes(source.foreign()[1].updates.number[0]).decode()
    page.wait(f"document.querySelector('#details p').textContent.startsWith('{number}')")
    card = text(page, "#details")
    for said in ("‹east›", "Given by", "north-east/2026-1", "east → relay → here", "s ago"):
        assert said in card, said
    assert "Seen by" not in card  # the giver's sensors are its own affair
    page.wait("document.querySelector('#details').textContent.includes('human 3')")
    page.press("o")  # on from the last choice: all again
    page.wait("document.querySelector('#table').getAttribute('aria-rowcount') === '45'")
    assert page.run("document.querySelector('#filtered').hidden")
    source.partners = ("south",)  # east has nothing left: its tracks go, and what the card said
    page.wait("document.querySelector('#table').getAttribute('aria-rowcount') === '41'")
    page.wait("document.querySelector('#details').textContent.includes('gone: ')")
    assert text(page, "#details p") == number
    source.partners = ("south", "east")  # given again: the operator still has it
    page.wait("document.querySelector('#details').textContent.includes('‹east›')")
    source.partners = ("south",)  # and for good
    page.wait("document.querySelector('#details p').textContent.startsWith('None')")
    assert page.problems() == []


def test_a_track_hidden_by_the_filter_is_not_picked_on_the_map(browser, server, source):
    source.partners = ()
    page = opened(browser, server)
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    page.press("c")
    source.partners = ("south",)
    page.wait("document.querySelector('#table').getAttribute('aria-rowcount') === '41'")
    page.run("document.querySelector('#origins [data-origin=\"@south\"]').click()")
    page.wait("document.querySelector('#details p').textContent.startsWith('None')")
    page.linger(0.1)
    page.click(*middle(page))
    # nothing of the own track under the pointer: it picks the partner's beside it, or none
    assert not text(page, "#details p").startswith(bytes(source.tracks().number[0]).decode())


def judged(
    page: Page,
    given: dict[str, Any] | None = None,
    taken: list[dict[str, Any]] | None = None,
    shown: dict[str, int] | None = None,
    **link: Any,
) -> list[Any]:
    """State of a link, and its marked facts; statuses of `taken` come 6 s after one another."""
    statuses = [
        {
            "core": {"time_ns": 1e9 * (100 + 6 * i)},
            "partners": [
                {"node": "south", "connected": True, "out": [given] if given else []}
                | link
                | {"in": [one] if one else []}
            ],
        }
        for i, one in enumerate(taken or [{}])
    ]
    body = f"""const h = new m.PartnerHealth();
        const shown = new Map({json.dumps([["south", shown]] if shown else [])});
        for (const one of {json.dumps(statuses)}) h.take(one, shown);
        const [{{state, trouble, facts}}] = h.links;
        const marked = facts.filter((f) => f.trouble).map((f) => `${{f.name}}: ${{f.value}}`);
        return [state, ...(trouble === h.troubled > 0 ? [trouble] : []), ...marked];"""
    return list(evaluate(page, "partners.js", body))


def test_what_is_said_of_a_link(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    well = ["connected", False]
    give = {"agreement": "a-1", "state": "active", "sent": 9, "acked": 9, "last_ack_s": 0.4}
    take = {"agreement": "s-1", "received": 5, "gaps": 0, "last_s": 0.4, "refused": {}}

    # what is calm: nothing to tell, on either side
    assert judged(page, give, [take] * 4, {"tracks": 3, "stale": 0, "late": 0}) == well
    assert judged(page, {**give, "last_ack_s": 900.0}) == well
    assert judged(page, taken=[{**take, "last_s": 900.0}] * 4) == well
    assert judged(page, {**give, "state": "ended", "acked": None, "no_ack_s": 900.0}) == well
    assert judged(page, connected=None) == ["–", False]

    # what waits, and for how long
    assert judged(page, {**give, "acked": 7, "last_ack_s": 9.0}) == well
    late = judged(page, {**give, "acked": 7, "last_ack_s": 11.0})
    assert late == ["connected", True, "Sent / acked: 9 / 7", "Last ack: 11 s ago"]
    never = {**give, "acked": None, "last_ack_s": None}
    assert judged(page, {**never, "no_ack_s": 2.0}) == well
    assert judged(page, {**never, "no_ack_s": 130.0})[2:] == [
        "Sent / acked: 9 / –",
        "Last ack: none for 2 min",
    ]
    assert judged(page, {**never, "sent": 0, "no_ack_s": 130.0}) == well

    # what is known to be wrong
    away = judged(page, connected=False, reason="refused")
    assert away == ["not connected: refused", True]
    assert judged(page, connected=None, reason="no password")[:2] == [
        "not connected: no password",
        True,
    ]
    told = judged(page, {**give, "why_silent": "the agreement ended"})
    assert told == ["connected", True, "Silent: the agreement ended"]
    assert judged(page, {**give, "head_agrees": False})[1:] == [
        True,
        "Chain: the partner's is not ours",
    ]

    # gaps that close, and gaps that do not
    closing = [{**take, "gaps": gaps} for gaps in (9, 5, 2)]
    assert judged(page, taken=closing) == well
    assert judged(page, taken=[{**take, "gaps": 9}]) == well
    stuck = [{**take, "gaps": gaps} for gaps in (2, 2, 2)]
    assert judged(page, taken=stuck) == ["connected", True, "Gaps: 2"]
    assert judged(page, taken=[*closing, {**take, "gaps": 0}, *stuck[:1]]) == well

    # what was refused once, and what was refused lately
    refused = {**take, "refused": {"bad_chain": 1}}
    assert judged(page, taken=[refused] * 4) == well
    more = {**take, "refused": {"bad_chain": 3}}
    assert judged(page, taken=[refused, more])[1:] == [True, "Refused: bad chain 3"]
    assert judged(page, taken=[refused, *[more] * 4]) == well

    # tracks that have all gone stale, with the link up
    assert judged(page, shown={"tracks": 3, "stale": 3, "late": 2}) == well
    gone = judged(page, shown={"tracks": 3, "stale": 3, "late": 3})
    assert gone == ["connected", True, "On the map: 3, 3 stale"]


# -- a whole serve process over a real output log


class Core:
    """Writes what a core would: a status a second, and what partners gave.

    Parameters
    ----------
    folder
        The output log.
    """

    def __init__(self, folder: Path) -> None:
        self._log = SegmentedLog(folder, durable=False)
        self._order = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._offset = 0
        self.link: dict[str, Any] = {"node": "south", "connected": True, "reason": "", "in": []}
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            now_ns = time.time_ns()
            told = {"time_ns": now_ns, "partners": [self.link]}
            with self._order:
                self._log.append([(Kind.STATUS, now_ns, "", json.dumps(told).encode(), 0)])
            self._stopping.wait(0.5)

    def give(self, numbers: dict[int, str], status: Status, life_s: float = 600.0) -> None:
        """South gives a row for each of the tracks, by id and spoken number."""
        now_ns = time.time_ns()
        foreign = ForeignUpdates.empty(len(numbers), ("south",), ("south-north/2026-1",))
        foreign.giver[:], foreign.agreement[:], foreign.path[:] = 0, 0, 0
        foreign.seq[:] = 1 + self._offset
        foreign.sent[:], foreign.received[:], foreign.head[:] = now_ns - 10**8, now_ns, True
        rows = foreign.updates
        rows.known_offset[:], rows.n[:] = self._offset, np.arange(len(numbers))
        rows.track_id[:] = list(numbers)
        rows.number[:] = [number.encode() for number in numbers.values()]
        rows.revision[:] = rows.authority_epoch[:] = 1
        rows.valid[:] = rows.known[:] = now_ns
        rows.stale[:] = now_ns + round(life_s * NS_PER_S)
        rows.status[:] = status
        rows.reason[:] = (
            UpdateReason.WITHDRAWN if status == Status.DELETED else UpdateReason.DETECTED
        )
        rows.state[:, :2] = np.radians((59.4, 28.2))
        rows.state[:, 3:5] = (3.0, 4.0)
        rows.covariance[:, [0, 6, 15, 18]] = 100.0
        rows.existence[:], rows.classes[:] = 0.97, one_hot("sea_vessel")
        batch = OutputBatch(
            first=self._offset,
            through=self._offset,
            sensor_ids=("radar-1", "ais-1"),
            detections=Detections.empty(),
            updates=TrackUpdates.empty(),
            foreign=foreign.check(),
        )
        self._offset += 1
        with self._order:
            self._log.append([(Kind.OUTPUT, now_ns, "", pack_output(batch), 0)])

    def close(self) -> None:
        """End the thread and close the log."""
        self._stopping.set()
        self._thread.join()
        self._log.close()


PARTNER = """
[[partner]]
id = "south"
receive_agreement = "from-south.toml"
broker = { host = "127.0.0.1", port = 1 }
"""


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    made = Core(tmp_path / "data" / "outputs")
    yield made
    made.close()


@pytest.fixture
def serve(tmp_path: Path, core: Core) -> Iterator[Serve]:
    """A serve process, as a thread; its database is away, which is nothing to the picture."""
    path = write_site(tmp_path)
    path.write_text(path.read_text() + PARTNER)
    made = Serve(load_site(path))
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        until(lambda: made.server.port or not thread.is_alive())
        yield made
    finally:
        made.stopping.set()
        thread.join()


def life(page: Page) -> dict[str, str]:
    """Status of each row of the table, by spoken number."""
    rows = "[...document.querySelectorAll('#table-body tr[data-id]')]"
    return dict(page.run(f"{rows}.map((r) => [r.cells[0].textContent, r.cells[8].textContent])"))


def test_what_a_partner_gives_comes_and_goes_on_the_page(browser, core, serve):
    core.give({1: "X2001", 2: "X2002", 3: "X2003"}, Status.CONFIRMED)
    page = browser.open(f"{serve.server.url}/")
    page.wait(f"{ROW_COUNT} === '4'")
    assert cells(page, 0) == ["X2001", "X2002", "X2003"]
    assert cells(page, 1) == ["‹south›"] * 3
    assert text(page, "#counts").endswith("3 of partners")
    page.wait("document.querySelector('#tab-partners').textContent === 'Partners 1/1'")
    assert page.run("document.querySelector('#notice').hidden")  # no own track is no stale one
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    page.wait("document.querySelector('#details').textContent.includes('south-north/2026-1')")
    card = text(page, "#details")
    for said in ("X2001", "‹south›", "Given by", "south → here", "sea vessel", "none given"):
        assert said in card, said

    core.give({1: "X2001"}, Status.DELETED)  # withdrawn
    page.wait(f"{ROW_COUNT} === '3'")
    assert cells(page, 0) == ["X2002", "X2003"]
    page.wait("document.querySelector('#details').textContent.startsWith('X2001Statusgone: ')")

    # the link breaks: what south gave last goes stale under the officer's eyes, and the tab says so
    core.give({2: "X2002"}, Status.CONFIRMED, life_s=0.5)
    core.link = {**core.link, "connected": False, "reason": "connection refused"}
    page.wait("document.querySelector('#tab-partners').textContent === 'Partners 0/1'")
    page.wait("document.querySelector('#counts').textContent.includes('1 of them stale')")
    assert life(page) == {"X2002": "stale", "X2003": "confirmed"}
    assert "not connected: connection refused" in text(page, "#partners")
    assert "1 stale" in text(page, "#partners")
    assert page.run("document.querySelector('#notice').hidden")  # the node's own picture is well
    assert "connection refused" not in text(page, "#health")

    core.link = {**core.link, "connected": True, "reason": ""}
    core.give({2: "X2002"}, Status.CONFIRMED)
    page.wait("!document.querySelector('#counts').textContent.includes('stale')")
    page.wait("document.querySelector('#tab-partners').textContent === 'Partners 1/1'")
    assert life(page) == {"X2002": "confirmed", "X2003": "confirmed"}
    assert page.problems() == []
