"""The page in a real Chromium: what it shows, what it says, what it asks for."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.app import STATIC, base_map_problem, create_app
from console.server import ServerThread
from model.tracks import Status
from tests.console.browser import Browser, Page, find_browser, wait_for
from tests.console.conftest import SteppedSource
from tests.console.moving import MovingSource
from tests.console.test_console_feed import GOLDEN

LINES = 300
"""Longest script of the page."""


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_each_script_is_checked_typed_and_short(path: Path):
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "// @ts-check"
    assert len(lines) < LINES


@pytest.mark.parametrize(
    "path", sorted(path for path in STATIC.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_no_file_of_the_page_names_another_host(path: Path):
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text.replace('"https:" ?', "")
    assert "style=" not in text
    assert "innerHTML" not in text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("no chromium on the PATH")
    with Browser.start(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(autouse=True)
def one_page_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """A page left open would go on to look for its server under a port that is another's now."""
    yield
    if "browser" in request.fixturenames:
        request.getfixturevalue("browser").close_pages()


@pytest.fixture
def base_map() -> None:
    """The base map, as set-up built it."""
    if problem := base_map_problem():
        pytest.skip(problem)


@pytest.fixture(autouse=True)
def plain_chart(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No base map where a test is not about it: drawn in software, it takes seconds."""
    if "base_map" not in request.fixturenames:
        monkeypatch.setattr("console.app.VENDOR", tmp_path)


@pytest.fixture
def source() -> MovingSource:
    return MovingSource(40)


@pytest.fixture
def server(source: MovingSource) -> Iterator[ServerThread]:
    with ServerThread(create_app(source, node="north")) as server:
        yield server


def opened(browser: Browser, server: ServerThread) -> Page:
    page = browser.open(f"{server.url}/")
    page.wait("document.querySelectorAll('#table-body tr[data-id]').length > 10")
    return page


def text(page: Page, selector: str) -> str:
    return str(page.run(f"document.querySelector({json.dumps(selector)}).textContent"))


def cells(page: Page, column: int) -> list[str]:
    rows = "[...document.querySelectorAll('#table-body tr[data-id]')]"
    return list(page.run(f"{rows}.map((row) => row.cells[{column}].textContent)"))


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
    source.partners = ("south",)  # east has nothing left: its tracks go, and so does the card
    page.wait("document.querySelector('#table').getAttribute('aria-rowcount') === '41'")
    assert text(page, "#details p").startswith("None")
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


def test_sensors_and_partners_that_need_a_look_are_marked(browser, server):
    page = opened(browser, server)
    page.wait("document.querySelector('#tab-sensors').textContent === 'Sensors 4/5'")
    assert text(page, "#tab-partners") == "Partners 1/2"
    marks = "[...document.querySelectorAll('#tabs button')].map((b) => b.dataset.trouble ?? '')"
    assert page.run(marks) == ["", "true", "true", "false"]
    page.press("2")
    rows = "[...document.querySelectorAll('#sensor-rows tr')].map((r) => r.innerText.split('\\t'))"
    page.wait(f"{rows}.find((r) => r[0] === 'ais')[2] === '3.0'")  # two samples make a rate
    found = {row[0]: row[1:] for row in page.run(rows)}
    assert next(iter(found)) == "uav-2"  # trouble first
    assert found["uav-2"][0] == "silent 47 s"
    assert found["fence-14"][0] == "event"  # silence of an event sensor says nothing
    assert found["ais"][4] == "bad checksum 12, time past 3"
    assert found["radar-coast"][4] == "none"
    page.press("3")
    partners = page.run("document.querySelector('#partners').innerText")
    for said in (
        "not connected: certificate expired",
        "120 / 97",
        "8 min ago",
        "suspended by duty officer",
        "bad signature 2",
        "48 211 / 48 209",
    ):
        assert said in partners, said
    assert page.problems() == []


def test_what_is_said_of_a_sensor(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import

    def health(sensor: dict[str, Any], counts: list[dict[str, Any]]) -> list[Any]:
        statuses = [
            {
                "sensors": [{"id": "s"} | sensor],
                "core": {"time_ns": 1e9 * (100 + 10 * i), "counters": {"ingest": {"s": one}}},
            }
            for i, one in enumerate(counts)
        ]
        body = f"""const h = new m.SensorHealth();
            for (const one of {json.dumps(statuses)}) h.take(one);
            const r = h.rows[0]; return [r.state, r.trouble, isNaN(r.rate) ? null : r.rate];"""
        return list(evaluate(page, "sensors.js", body))

    calm = {"last_report_s": 0.5, "period_s": 1.0}
    ten = {"messages": 10, "reports": 10, "refused": {}}
    more = {"messages": 60, "reports": 60, "refused": {}}
    bad = {"messages": 60, "reports": 20, "refused": {"time_past": 40}}
    assert health(calm, [ten, more]) == ["ok", False, 5.0]
    assert health(calm, [ten]) == ["ok", False, None]
    assert health(calm, [ten, bad]) == ["refused", True, 1.0]
    assert health(calm | {"last_report_s": 3.5}, [ten]) == ["silent 3 s", True, None]
    assert health(calm | {"last_report_s": 3.5, "period_s": 2.5}, [ten])[1] is False
    assert health(calm | {"last_report_s": 99.0, "sensing": "event"}, [ten])[:2] == ["event", False]
    assert health({"last_report_s": 99.0}, [ten])[1] is False  # no period: nobody can tell
    assert health(calm | {"last_report_s": None}, [ten])[:2] == ["never heard", True]
    assert health({}, [ten])[:2] == ["–", False]


def middle(page: Page) -> list[float]:
    return list(
        page.run(
            "(() => { const b = document.querySelector('#map').getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
    )


COLOURS = """(async () => {
  const bytes = Uint8Array.from(atob('%s'), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
  const pen = new OffscreenCanvas(image.width, image.height).getContext('2d');
  pen.drawImage(image, 0, 0);
  const {data} = pen.getImageData(0, 0, image.width, image.height);
  const style = getComputedStyle(document.documentElement);
  return ['land', 'chart'].map((name) => {
    const hex = style.getPropertyValue('--' + name).trim();
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      count += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) <= 3;
    }
    return count / (image.width * image.height);
  });
})()"""


def parts_of_the_chart(page: Page) -> tuple[float, float]:
    """How much of the chart shows the colour of land, and of water."""
    box = page.run(
        "(() => { const b = document.querySelector('.chart').getBoundingClientRect();"
        " return {x: b.x, y: b.y, width: b.width, height: b.height, scale: 0.5}; })()"
    )
    shot = page.call("Page.captureScreenshot", {"format": "png", "clip": box})["data"]
    land, water = page.run(COLOURS % shot)
    return land, water


def test_the_base_map_shows_land_and_water_by_night_and_by_day(base_map, browser, server):
    page = opened(browser, server)
    page.wait("document.querySelector('#base').dataset.state === 'drawn'")
    assert "orientation only" in text(page, "#base-note")
    for light in ("night", "day"):
        assert page.run("document.documentElement.dataset.light") == light

        def both() -> bool:
            land, water = parts_of_the_chart(page)
            return land > 0.05 and water > 0.3  # the south shore of a lake, all else water

        wait_for(both, f"land and water by {light}")
        page.press("d")
    page.press("+")  # MapLibre's camera takes part in every move
    page.wait("document.querySelector('#base').dataset.state === 'drawn'")
    assert page.problems() == []
    assert page.hosts() == {server.url.removeprefix("http://")}
    page.run("localStorage.clear()")


def test_without_a_base_map_the_plain_chart_says_so_in_a_line(browser, server):
    page = opened(browser, server)
    page.wait("document.querySelector('#base-note').textContent.includes('make setup')")
    land, water = parts_of_the_chart(page)
    assert land < 0.001
    assert water > 0.3
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    page.press("c")
    page.linger(0.1)
    page.press("Escape", 27)
    page.click(*middle(page))
    assert text(page, "#details p").startswith(cells(page, 0)[0])
    assert page.problems() == []
    assert page.hosts() == {server.url.removeprefix("http://")}


def test_the_table_sorts_both_ways(browser, server):
    page = opened(browser, server)
    for falling, state in ((False, "ascending"), (True, "descending")):
        page.run("document.querySelectorAll('#table-head button')[3].click()")
        page.run("document.querySelector('#scroll').scrollTop = 0")
        speeds = [float(cell) for cell in cells(page, 3)]
        assert speeds == sorted(speeds, reverse=falling)
        head = "document.querySelectorAll('#table-head th')[3].getAttribute('aria-sort')"
        assert page.run(head) == state


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


def evaluate(page: Page, module: str, body: str) -> Any:
    """Run code with the exports of one of the page's modules as `m`."""
    return page.run(f"import('/static/{module}').then((m) => {{ {body} }})")


def test_the_page_reads_the_literal_bytes(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    got = evaluate(
        page,
        "decode.js",
        f"""
        const bytes = Uint8Array.from({list(GOLDEN)});
        const got = m.decode(bytes.buffer);
        return {{
          header: [got.kind, got.sequence, got.tentative, got.serverMs, got.newestMs, got.coreMs],
          id: String(got.heads.trackId[0]), valid: got.heads.valid[0],
          place: [got.heads.lat[0], got.heads.lon[0], got.heads.height[0]],
          velocity: [got.heads.velocity[0], got.heads.velocity[1], isNaN(got.heads.velocity[2])],
          covariance: [...got.heads.covariance],
          given: [got.heads.giver[0], got.heads.received[0], got.heads.sent[0],
                  got.labels.giver[0]],
          rest: [got.heads.existence[0], got.heads.life[0], got.heads.revision[0],
                 got.heads.status[0], got.heads.reason[0]],
          number: m.fixedText(got.labels.number, 0, 8),
          identity: m.fixedText(got.labels.identity, 0, 24),
          sensors: [...got.labels.sensors],
          label: [got.labels.classification[0], got.labels.classProbability[0],
                  got.labels.affiliation[0], got.labels.identityKind[0], got.labels.mode[0]],
          deleted: [...got.deleted.trackId].map(String).concat([...got.deleted.giver]),
          names: got.names,
        }};
        """,
    )
    assert got == {
        "header": [2, 66051, 5, 1772366400250, 1772366400000, 0],
        "id": "72623859790382856",
        "valid": 1772366400000,
        "place": [594000000, -282000000, 35],
        "velocity": [1, -2, True],
        "covariance": [0, 1, 3, 4, 6, 8, 9, 15, 16, 18],
        "given": [258, 0.75, 0.5, 0],
        "rest": [0.5, 4, 9, 2, 1],
        "number": "K4711",
        "identity": "1581F4",
        "sensors": [2, 7, 300, -1, -1, -1, -1, -1],
        "label": [4, 75, 2, 4, 1],
        "deleted": ["3", "-1", 258, 258],
        "names": {"node": "n"},
    }
    refused = (
        f"const cut = Uint8Array.from({list(GOLDEN[:200])});"
        "try { m.decode(cut.buffer); return ''; } catch (error) { return error.name; }"
    )
    assert evaluate(page, "decode.js", refused) == "RangeError"


def test_a_track_is_moved_on_to_its_stale_time_and_no_longer(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    got = evaluate(
        page,
        "tracks.js",
        """
        const track = new m.Track("1");
        Object.assign(track, {x: 0.5, y: 0.5, scale: [1, 1], east: 3, north: 4,
                              valid: 1000, staleAt: 5000, placed: true});
        track.covariance.set([1, 0, 0, 0, 4, 0, 0, 9, 0, 16]);
        return [track.at(1000), track.at(3000), track.at(5000), track.at(99000),
                track.spread(3000), track.course, track.isStale(5000), track.isStale(5001)];
        """,
    )
    assert got[0] == [0.5, 0.5]
    assert got[1] == [0.5 + 6, 0.5 - 8]
    assert got[2] == got[3] == [0.5 + 12, 0.5 - 16]
    assert got[4] == [1 + 4 * 9, 0, 4 + 4 * 16]
    assert math.isclose(got[5], math.degrees(math.atan2(3, 4)))
    assert got[6:] == [False, True]


def test_trails_are_of_two_minutes_and_bounded(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    got = evaluate(
        page,
        "trail.js",
        """
        const trail = new m.Trail();
        for (let t = 0; t <= 3_600_000; t += 200) trail.push(t, t, 0);
        const seen = [];
        trail.each(3_600_000, (x) => seen.push(x));
        return [trail.ring.length, seen[0], seen[seen.length - 1], seen.length];
        """,
    )
    assert got == [384, 3_480_000, 3_600_000, 121]


def test_ground_distances_and_the_ellipse(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    # one degree of latitude and of longitude at 59.4 N: 111 404 m and 56 824 m (WGS-84 radii)
    got = evaluate(
        page,
        "geo.js",
        """
        const [ux, uy] = m.unitsPerMetre(59.4);
        const e = m.ellipse(9, 0, 4), d = m.ellipse(5, 3, 5);
        return [(m.mercatorX(29) - m.mercatorX(28)) / ux,
                (m.mercatorY(58.9) - m.mercatorY(59.9)) / uy,
                m.latOf(m.mercatorY(59.4)), m.lonOf(m.mercatorX(28.2)),
                e.major, e.minor, e.azimuth, d.major ** 2, d.minor ** 2, d.azimuth];
        """,
    )
    wanted = [
        111_319.4908 * math.cos(math.radians(59.4)) * _prime_ratio(59.4),
        math.radians(1.0) * _meridian(59.4),
        59.4,
        28.2,
        3.0,
        2.0,
        math.pi / 2,  # east, clockwise from north
        8.0,
        2.0,
        math.pi / 4,
    ]
    assert got == pytest.approx(wanted, rel=1e-4)


def _prime_ratio(lat: float) -> float:
    return 1 / math.sqrt(1 - 6.69437999014e-3 * math.sin(math.radians(lat)) ** 2)


def _meridian(lat: float) -> float:
    return 6378137.0 * (1 - 6.69437999014e-3) * _prime_ratio(lat) ** 3


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
