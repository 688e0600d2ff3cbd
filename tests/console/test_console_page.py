"""The page in a real Chromium: the picture, the table, and how they go together."""

import threading

from console.app import create_app
from console.server import ServerThread
from model.tracks import Status
from tests.console.conftest import SteppedSource
from tests.console.pages import cells, middle, opened, text


def test_the_page_shows_the_picture_and_asks_nobody_else(browser, server, source):
    page = opened(browser, server)
    page.wait("document.querySelector('#status').textContent.includes('amqtt')")
    assert text(page, "#node") == "north"
    assert text(page, "#link") == "connected"
    counts = "32 confirmed · 4 coasting · 4 tentative (not shown) · 8 of partners"
    assert text(page, "#counts") == counts
    status = text(page, "#status")
    for said in ("42 /s", "18 ms", "75 ms", "0.3 s · 4 rec.", "PostgreSQL 18.0", "lacks MQTT 5"):
        assert said in status, said
    assert "16: bad checksum 12, time past 3, not json 1" in status
    numbers = [one.updates.number for one in source.foreign()]
    tracks = source.tracks()
    numbers.append(tracks.number[tracks.status != Status.TENTATIVE])
    shown = sorted(number.decode() for part in numbers for number in part)
    assert page.run("document.querySelector('#table').getAttribute('aria-rowcount')") == "45"
    assert cells(page, 0) == shown[: len(cells(page, 0))]
    assert page.run("document.querySelector('#notice').hidden")
    page.linger(0.5)
    assert page.problems() == []
    assert page.hosts() == {server.url.removeprefix("http://")}


def test_map_and_table_are_linked_both_ways(browser, server):
    page = opened(browser, server)
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    number = cells(page, 0)[0]
    assert text(page, "#details p").startswith(f"{number}  ")
    assert "m/s" in text(page, "#details")
    page.wait("document.querySelector('#details').textContent.includes('radar-coast 0.')")
    assert "sea vessel 80\u00a0%" in text(page, "#details")  # a probability for each class
    page.run("document.querySelector('#table').focus()")
    page.press("ArrowDown", 40)
    assert text(page, "#details p").startswith(cells(page, 0)[1])
    page.press("c")  # in the middle of the map now, where a click finds it
    page.press("Escape", 27)
    assert text(page, "#details p").startswith("None")
    page.linger(0.1)
    page.click(*middle(page))
    assert text(page, "#details p").startswith(cells(page, 0)[1])
    selected = "document.querySelector('tr[aria-selected=true]').cells[0].textContent"
    assert page.run(selected) == cells(page, 0)[1]
    assert page.problems() == []


def test_the_card_says_since_when_an_identity_is_doubted(browser, server, source):
    page = opened(browser, server)
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    page.wait("document.querySelector('#details').textContent.includes('radar-coast 0.')")
    assert "doubted" not in text(page, "#details")
    for track in source.tracks().track_id.tolist():
        source.doubted[track] = 1_772_366_400_000_000_000
    page.wait("document.querySelector('#details').textContent.includes('Identity doubted')")
    assert "since 12:00:00 UTC" in text(page, "#details .trouble")
    assert page.problems() == []


def test_the_table_sorts_both_ways(browser, server):
    page = opened(browser, server)
    for falling, state in ((False, "ascending"), (True, "descending")):
        page.run("document.querySelectorAll('#table-head button')[3].click()")
        page.run("document.querySelector('#scroll').scrollTop = 0")
        speeds = [float(cell) for cell in cells(page, 3)]
        assert speeds == sorted(speeds, reverse=falling)
        head = "document.querySelectorAll('#table-head th')[3].getAttribute('aria-sort')"
        assert page.run(head) == state


def test_a_thousand_tracks_need_few_rows(browser):
    source = SteppedSource(1000)
    app = create_app(source, node="north", clock=lambda: source.time)
    with ServerThread(app) as server:
        page = opened(browser, server)
        tracks = source.tracks()
        shown = int((tracks.status != Status.TENTATIVE).sum())
        page.wait(
            f"document.querySelector('#table').getAttribute('aria-rowcount') === '{shown + 1}'"
        )
        assert len(cells(page, 0)) < 60
        page.run("document.querySelector('#scroll').scrollTop = 1e9")
        last = max(number.decode() for number in tracks.number[tracks.status != Status.TENTATIVE])
        page.wait(
            "[...document.querySelectorAll('#table-body tr[data-id]')].at(-1)"
            f".cells[0].textContent === '{last}'"
        )
        assert page.problems() == []


def test_the_browser_is_held_by_no_thread_that_draws_random_numbers(chromium):
    assert chromium.call("Browser.getVersion")["product"]
    # websockets names the thread of its pings so; they would change `random` under other tests.
    assert not [one.name for one in threading.enumerate() if "keepalive" in one.name]
