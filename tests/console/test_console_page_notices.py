"""What the page says in words when something is not as it should be."""

import json
import time
from typing import Any

from console.app import create_app
from console.server import ServerThread
from tests.console.pages import evaluate, opened, text


def test_a_picture_that_stands_still_is_said_in_words(browser, server, source):
    page = opened(browser, server)
    page.wait("document.querySelector('#notice').hidden")
    began = time.monotonic()
    source.frozen = source.now()
    page.wait("!document.querySelector('#notice').hidden")
    assert time.monotonic() - began > 2.0  # a status is up to a second old by nature
    assert "silent for" in text(page, "#notice")
    assert page.run("document.querySelector('#notice').getAttribute('role')") == "alert"
    source.frozen = None
    page.wait("document.querySelector('#notice').hidden")
    assert page.problems() == []


def test_a_lost_connection_is_said_and_comes_back_by_itself(browser, source):
    app = create_app(source, node="north")
    with ServerThread(app) as server:
        page = opened(browser, server)
    page.wait("document.querySelector('#notice').textContent.includes('No connection')")
    assert text(page, "#link") == "no connection"
    page.wait("document.querySelector('#status').textContent.includes('not reachable')")
    with ServerThread(create_app(source, node="north"), "127.0.0.1", server.port):
        page.wait("document.querySelector('#link').textContent === 'connected'")
        page.wait("document.querySelector('#notice').hidden")
        page.wait("document.querySelector('#status').textContent.includes('amqtt')")


def test_a_node_that_is_not_well_says_why(browser, server, source):
    source.well = (False, "broker: not connected for 12 s")
    page = opened(browser, server)
    page.wait("!document.querySelector('#health').hidden")
    assert text(page, "#health") == "Node not well: broker: not connected for 12 s"


def test_what_is_said_of_each_situation(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    calm: dict[str, Any] = {
        "link": "open",
        "fault": "",
        "openedFor": 9e3,
        "now": 1e12,
        "newestMs": 1e12 - 2900,
        "coreMs": 1e12 - 2900,
        "tracks": 3,
        "staleS": 3,
    }
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({}, None),
        ({"newestMs": 1e12 - 3100}, "The picture is stale: 3 s old"),
        ({"newestMs": 1e12 - 3100, "tracks": 0}, None),
        ({"coreMs": 1e12 - 9000}, "The core has been silent for 9 s"),
        ({"coreMs": 0, "newestMs": 0, "tracks": 0}, None),
        ({"link": "lost"}, "No connection to the node"),
        ({"link": "connecting", "openedFor": 100}, None),
        ({"link": "connecting"}, "No connection to the node"),
    ]
    for change, wanted in cases:
        situation = json.dumps(calm | change)
        got = evaluate(page, "notice.js", f"return m.judge({situation})?.title ?? null;")
        assert got == wanted, change
