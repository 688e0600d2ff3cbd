"""The page's modules by themselves, in the browser that runs them."""

import math

import pytest

from model.detections import IdentityKind
from model.tracks import Affiliation, Status, UpdateReason
from tests.console.pages import evaluate
from tests.console.test_console_feed import GOLDEN


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


def test_the_page_has_a_word_for_every_code(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import
    words = evaluate(page, "tracks.js", "return [m.STATUS, m.REASON, m.AFFILIATION, m.IDENTITY];")
    for said, codes in zip(words, (Status, UpdateReason, Affiliation), strict=False):
        assert said == [code.name.lower() for code in codes]
    kinds = [word.replace(" ", "").lower() for word in words[3]]
    assert kinds == ["", *(code.name.replace("_", "").lower() for code in IdentityKind if code)]


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
