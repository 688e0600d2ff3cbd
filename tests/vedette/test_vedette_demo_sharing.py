"""What the demo's nodes agree upon, and what each user may do at a real broker."""

import contextlib
import tomllib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from config.schema import SiteFile
from exercise.scenario import load_scenario, packaged, site_tables
from link.client import Subscriber
from link.settings import ClientSettings
from model.detections import IdentityKind, Mode
from model.taxonomy import CLASSES
from sharing.agreement import parse_agreement
from sharing.area import polygon_mistakes
from sharing.release import Parties, Refusal, refusals, transform
from tests.node.site import until
from tests.sharing.samples import NOW_NS, of_class, updates
from vedette import demo_sharing
from vedette.demo import UNDER_WAY_S, Missing, lacking, page_ports
from vedette.demo_sharing import (
    DAY_NS,
    HALF_WIDTH_M,
    Users,
    agreement_text,
    band,
    new_passwords,
    write_secret,
)
from vedette.local.broker import LocalBroker, find_mosquitto
from vedette.sitefile import write_site

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
BOTH = [pytest.param("mosquitto", marks=needs_mosquitto), "amqtt"]
PARTIES = Parties("north", "south", Mode.EXERCISE)


@pytest.fixture(scope="module")
def scenario():
    return load_scenario(packaged("border"))


@pytest.fixture(scope="module")
def agreed(scenario):
    return parse_agreement(agreement_text("north", "south", band(scenario), NOW_NS), "a.toml")


def beside(scenario, aside_m):
    """Points (P, 2), rad, so far to the left of the middle of each piece of the line."""
    region = scenario.region
    line = np.column_stack([np.radians(scenario.line), np.zeros(len(scenario.line))])
    places = []
    for start, end in pairwise(region.enu_from_geodetic(line)[:, :2]):
        way = (end - start) / np.linalg.norm(end - start)
        places.append((start + end) / 2 + aside_m * np.array([-way[1], way[0]]))
    east, north = np.array(places).T
    return region.geodetic_from_plane(east, north, np.zeros(len(east)))[:, :2]


def decided(places, agreement, now_ns=NOW_NS, **columns):
    rows = updates(len(places), mode=Mode.EXERCISE, **columns)
    rows.state[:, :2] = places
    return refusals(rows, agreement, now_ns, PARTIES).tolist()


def test_the_agreement_is_a_whole_one(agreed):
    assert (agreed.giver, agreed.receiver, agreed.mode) == ("north", "south", Mode.EXERCISE)
    assert agreed.id == "north-south-exercise"
    assert (agreed.valid_from_ns, agreed.valid_until_ns) == (NOW_NS - DAY_NS, NOW_NS + DAY_NS)
    assert {CLASSES[one] for one in agreed.classes} == set(demo_sharing.CLASSES)
    assert not polygon_mistakes(agreed.areas[0])


@pytest.mark.parametrize("side", [-1, 1])
def test_it_covers_a_band_beside_the_line_and_nothing_behind(scenario, agreed, side):
    pieces = len(scenario.line) - 1
    for share, wanted in ((0.0, Refusal.NONE), (0.99, Refusal.NONE), (1.01, Refusal.OUTSIDE)):
        places = beside(scenario, side * share * HALF_WIDTH_M)
        assert decided(places, agreed) == [wanted] * pieces, share
    assert decided(beside(scenario, 0.0), agreed, NOW_NS + DAY_NS) == [Refusal.EXPIRED] * pieces


def test_people_and_animals_stay_at_home_and_craft_keep_their_names(scenario, agreed):
    place = beside(scenario, 0.0)[:1]
    for label in CLASSES:
        wanted = Refusal.NONE if label in demo_sharing.CLASSES else Refusal.CLASS
        assert decided(place, agreed, classes=of_class(label)) == [wanted], label
    row = updates(mode=Mode.EXERCISE, identity_kind=IdentityKind.MMSI, identity=b"265000001")
    assert transform(row, agreed).identity.tolist() == [b"265000001"]


def test_a_band_follows_a_bent_line(scenario):
    bent = replace(scenario, line=np.array([[58.5, 13.2], [58.6, 13.2], [58.6, 13.4]]))
    corners = np.radians(band(bent, 1000.0))
    flat = bent.region.enu_from_geodetic(np.column_stack([corners, np.zeros(6)]))[:, :2]
    line = np.column_stack([np.radians(bent.line), np.zeros(3)])
    wire = bent.region.enu_from_geodetic(line)[:, :2]
    # Ends 1,000 m aside, the corner 1,414 m; a plane and an ellipsoid differ by centimetres.
    distances = np.linalg.norm(flat - np.concatenate([wire, wire[::-1]]), axis=1)
    assert distances == pytest.approx([1000, 1414, 1000, 1000, 1414, 1000], abs=8)


def test_what_a_site_file_of_the_demo_says_is_what_the_schema_takes(tmp_path, scenario):
    path = tmp_path / "site.toml"
    broker = {"host": "127.0.0.1", "port": 1, "username": "south", "password_file": "p"}
    partner = {"id": "south", "receive_agreement": "a.toml", "broker": broker}
    document = {
        "node": {"name": "north", "data_dir": "data"},
        "database": {"dsn": "x"},
        "sensor": site_tables(scenario),
        "partner": [partner],
    }
    write_site(path, document)
    read = SiteFile.model_validate(tomllib.loads(path.read_text()))
    assert read.partner[0].broker is not None
    assert read.partner[0].broker.username == "south"


def test_secrets_are_ours_alone(tmp_path):
    path = write_secret(tmp_path / "secrets" / "core", "word")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.read_text().strip() == "word"


def test_a_lack_names_node_and_thing():
    whole = {"reports": 5, "tracks_confirmed": 3, "foreign_tracks_stored": 2}
    whole["updates_missing"] = 0
    assert lacking({"nodes": {"north": whole, "south": whole}}) == []
    result = {"nodes": {"north": {**whole, "foreign_tracks_stored": 0}, "south": whole}}
    lack = "node north: no tracks of its partner were read back from its database"
    assert lacking(result) == [lack]
    result = {"nodes": {"north": whole, "south": {**whole, "reports": 0, "tracks_confirmed": 0}}}
    assert len(lacking(result)) == 2
    assert all(line.startswith("node south: ") for line in lacking(result))


def test_the_pages_have_two_ports():
    first, second = page_ports()
    assert first != second


class Person:
    """A user at the broker who subscribes to everything, and can say things."""

    def __init__(self, broker: LocalBroker, user: str, password: str) -> None:
        self.heard: set[tuple[str, bytes]] = set()
        settings = ClientSettings(broker.host, broker.port, user, user, password)
        self.link = Subscriber(settings, ["#"], self._take)

    def _take(self, batch) -> None:
        self.heard |= {(message.topic, message.payload) for message in batch.messages}
        self.link.ack(batch.tokens)

    def __enter__(self) -> "Person":
        self.link.start()
        assert self.link.wait_subscribed(20.0), self.link.status
        return self

    def __exit__(self, *_: object) -> None:
        assert self.link.stop(5.0)


@pytest.mark.broker
@pytest.mark.parametrize("prefer", BOTH)
def test_each_user_says_and_reads_its_own_and_nothing_else(prefer, server_folder):
    root, given = "vedette-exercise/north", "vedette-exercise/north/shared/south/a"
    report, notice = f"{root}/sensors/radar-1/reports", f"{root}/quarantine/radar-1"
    live, text = f"{given}/live", f"{given}/live.json"
    backfill, ack, control = f"{given}/backfill", f"{given}/ack", f"{given}/control"
    strange = [f"{root}/commands", f"{root}/shared/west/a/live", "vedette-exercise/x/y"]
    topics = [report, notice, live, text, backfill, ack, control, *strange]
    said = {
        "core": {notice},
        "sensors": {report},
        "north-to-south": {live, text, backfill, ack, control},
        "south": {ack, control},
        "south-people": set(),
    }
    read = {
        "core": {report},
        "sensors": set(),
        "north-to-south": {ack, control},
        "south": {live, text, backfill, ack, control},
        "south-people": {text},
    }
    grants = Users("north", "south").grants()
    passwords = new_passwords(grants)
    assert set(grants) == set(said)
    assert len(set(passwords.values())) == len(grants)
    with (
        LocalBroker(server_folder / "b", prefer=prefer, users=passwords, acl=grants) as broker,
        contextlib.ExitStack() as stack,
    ):
        people = {
            user: stack.enter_context(Person(broker, user, passwords[user])) for user in grants
        }
        # What is heard of the second round comes behind whatever is heard of the first.
        for number in (b"1", b"2"):
            for user, person in people.items():
                for topic in topics:
                    assert person.link.publish(topic, user.encode() + number)
            for reader, person in people.items():
                wanted = {
                    (topic, user.encode() + each)
                    for each in (b"1", b"2")[: int(number)]
                    for user in grants
                    for topic in read[reader] & said[user]
                }
                until(lambda p=person, w=wanted: p.heard >= w, 20.0, person.heard.__repr__)
                assert person.heard == wanted, reader


def test_what_is_under_way_is_not_missing_and_what_stays_away_is() -> None:
    def said(gaps) -> dict[str, Any]:
        return {"partners": [{"in": [{"gaps": gaps}]}]}

    missing = Missing()
    for second in range(30):  # it comes and goes in the north, and stays in the south
        missing.look({"north": said(second % 3), "south": said(4 if second > 12 else 0)}, second)
        assert missing.counts() == ({"south": 4} if second >= 13 + UNDER_WAY_S else {})
    missing.look({"south": said(0)}, 40.0)
    assert missing.counts() == {}
    row = {"reports": 1, "tracks_confirmed": 1, "foreign_tracks_stored": 1, "updates_missing": 4}
    assert lacking({"nodes": {"south": row}}) == [
        "node south: 4 updates that its partner gave are missing"
    ]
