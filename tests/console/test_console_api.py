"""The HTTP API over real sockets."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from console.app import create_app
from console.describe import OPENAPI
from console.server import ServerThread
from model.tracks import Status
from tests.console.conftest import Console
from tests.console.moving import MovingSource
from tests.console.schema import faults


class Answer:
    """What came back."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.text = answer.read().decode()

    def json(self) -> Any:
        return json.loads(self.text)


def ask(url: str, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def test_the_document_names_exactly_the_routes():
    app = create_app(MovingSource(1), node="n")
    routes = {route.path for route in app.routes if isinstance(route, Route)}
    assert set(OPENAPI["paths"]) == routes
    for route in app.routes:
        if isinstance(route, Route):
            methods = {method.lower() for method in route.methods or ()} - {"head"}
            assert methods == set(OPENAPI["paths"][route.path])


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("path", sorted(OPENAPI["paths"]))
def test_every_answer_is_as_the_document_says(console: Console, path: str, failing: bool):
    console.source.fault = OSError("no output log") if failing else None
    answer = ask(console.url, path)
    described = OPENAPI["paths"][path]["get"]["responses"]
    assert str(answer.status) in described
    contents = described[str(answer.status)]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in contents
    if media_type == "application/json":
        schema = contents[media_type]["schema"]
        assert faults(answer.json(), schema, OPENAPI) == []


def test_the_document_is_served_as_it_is_written(console: Console):
    assert ask(console.url, "/api/openapi.json").json() == OPENAPI


def test_tracks_are_the_heads_of_the_source(console: Console):
    body = ask(console.url, "/api/tracks").json()
    assert body["node"] == "north"
    assert body["time"] == "2026-03-01T12:00:00.250000Z"
    heads = console.source.tracks()
    assert [track["id"] for track in body["tracks"]] == [str(i) for i in heads.track_id.tolist()]


def test_foreign_tracks_stand_beside_the_own_ones(console: Console):
    console.source.partners = ("south", "east")
    own = ask(console.url, "/api/tracks?origin=own").json()["tracks"]
    foreign = ask(console.url, "/api/tracks?origin=foreign").json()["tracks"]
    both = ask(console.url, "/api/tracks").json()["tracks"]
    assert both == own + foreign
    assert {track["node"] for track in own} == {"north"}
    given = console.source.foreign()
    assert [track["node"] for track in foreign] == [
        one.giver.node for one in given for _ in range(len(one.updates))
    ]
    assert foreign[-1]["given"]["path"] == ["east", "relay"]
    assert all(track["given"]["received"] > track["given"]["sent"] for track in foreign)
    body = ask(console.url, "/api/tracks").json()
    assert faults(body, {"$ref": "#/components/schemas/Tracks"}, OPENAPI) == []
    status = ask(console.url, "/api/status").json()
    assert status["foreign"] == {one.giver.node: len(one.updates) for one in given}


def test_one_track_says_when_each_sensor_contributed(console: Console):
    heads = console.source.tracks()
    track_id = int(heads.track_id[0])
    body = ask(console.url, f"/api/tracks/{track_id}").json()
    assert faults(body, {"$ref": "#/components/schemas/OneTrack"}, OPENAPI) == []
    assert body["track"]["id"] == str(track_id)
    age = (console.source.time - int(heads.valid[0])) * 1e-9
    wanted = [("radar-coast", round(age, 3)), ("radar-hill", round(age + 1, 3))]
    assert [(row["sensor"], row["age_s"]) for row in body["contributions"]] == wanted


def test_one_track_says_since_when_its_identity_is_doubted(console: Console):
    track_id = int(console.source.tracks().track_id[0])
    console.source.doubted[track_id] = 1_772_366_400_000_000_000
    body = ask(console.url, f"/api/tracks/{track_id}").json()
    assert faults(body, {"$ref": "#/components/schemas/OneTrack"}, OPENAPI) == []
    assert body["doubted_since"] == "2026-03-01T12:00:00.000000Z"
    other = ask(console.url, f"/api/tracks/{track_id + 7_919}").json()
    assert other["doubted_since"] is None
    # A partner's track may have the same id.
    console.source.partners = ("south",)
    assert ask(console.url, f"/api/tracks/{track_id}?node=south").json()["doubted_since"] is None


def test_one_foreign_track_is_asked_for_with_its_node(console: Console):
    console.source.partners = ("south",)
    given = console.source.foreign()[0]
    track_id = int(given.updates.track_id[0])  # the same id as an own one has
    body = ask(console.url, f"/api/tracks/{track_id}?node=south").json()
    assert faults(body, {"$ref": "#/components/schemas/OneTrack"}, OPENAPI) == []
    assert body["track"]["node"] == "south"
    assert body["track"]["number"] == bytes(given.updates.number[0]).decode()
    assert body["contributions"] == []


@pytest.mark.parametrize("path", ["/api/tracks/7", "/api/tracks/9999999999999999999?node=west"])
def test_a_track_that_is_not_there_is_none(console: Console, path: str):
    answer = ask(console.url, path)
    assert answer.status == 200
    assert answer.json()["track"] is None


@pytest.mark.parametrize("text", ["x", "-1", "1" * 20, "%20"])
def test_what_is_no_track_id_is_refused(console: Console, text: str):
    answer = ask(console.url, f"/api/tracks/{text}")
    assert answer.status == 404
    assert "is no track id" in answer.json()["error"]["message"]


class Plain:
    """A source that gives no more than it must."""

    def __init__(self) -> None:
        self._full = MovingSource(3)
        self.status, self.tracks = self._full.status, self._full.tracks
        self.sensor_ids, self.metrics = self._full.sensor_ids, self._full.metrics
        self.healthy = self._full.healthy


def test_a_source_needs_to_give_nothing_of_partners():
    with ServerThread(create_app(Plain(), node="n")) as server:
        assert len(ask(server.url, "/api/tracks").json()["tracks"]) == 3
        assert ask(server.url, "/api/status").json()["foreign"] == {}
        own = ask(server.url, "/api/tracks/4000000000000000000").json()
        assert own["track"]["number"] == "A1000"
        assert own["contributions"] == []
        assert own["doubted_since"] is None


def test_without_what_set_up_fetches_the_status_says_why(
    console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr("console.app.VENDOR", tmp_path)
    assert "make setup" in ask(console.url, "/api/status").json()["base_map"]
    (tmp_path / "LICENSES.txt").touch()
    assert ask(console.url, "/api/status").json()["base_map"] == ""


def test_tracks_of_some_statuses(console: Console):
    body = ask(console.url, "/api/tracks?status=coasting,tentative").json()
    assert {track["status"] for track in body["tracks"]} == {"coasting", "tentative"}
    status = console.source.tracks().status
    assert len(body["tracks"]) == ((status == Status.COASTING) | (status == Status.TENTATIVE)).sum()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status=lost", "'lost' is not one of"),
        ("origin=theirs", "'theirs' is not one of"),
        ("colour=red", "'colour'"),
    ],
)
def test_a_wrong_parameter_is_named(console: Console, query: str, said: str):
    answer = ask(console.url, f"/api/tracks?{query}")
    assert answer.status == 400
    assert said in answer.json()["error"]["message"]
    assert faults(answer.json(), {"$ref": "#/components/schemas/Error"}, OPENAPI) == []


def test_status_counts_tracks_and_passes_the_status_on(console: Console):
    body = ask(console.url, "/api/status").json()
    assert body["tracks"] == {"confirmed": 32, "coasting": 4, "tentative": 4}
    assert body["status"] == console.source.status()
    assert (body["ok"], body["reason"]) == (True, "all sensors report")


def test_health(console: Console):
    assert ask(console.url, "/healthz").status == 200
    console.source.well = (False, "core: no sign of life for 9 s")
    answer = ask(console.url, "/healthz")
    assert answer.status == 503
    assert answer.json()["reason"] == "core: no sign of life for 9 s"


def test_a_broken_source_is_one_clear_error(console: Console):
    console.source.fault = OSError("outputs: disk gone")
    for path in ("/healthz", "/api/tracks", "/api/status"):
        answer = ask(console.url, path)
        assert answer.status == 503
        message = answer.json()["error"]["message"]
        assert message == "the picture source failed: OSError: outputs: disk gone"


def test_metrics_of_node_and_console_are_one_text(console: Console):
    answer = ask(console.url, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert "vedette_reports_total 4711" in lines
    assert "vedette_console_feed_readers 0" in lines
    assert all(line for line in lines)


@pytest.mark.parametrize("path", ["/nothing", "/static/nothing.js", "/static/../app.py", "/api"])
def test_what_is_not_there_is_a_json_404(console: Console, path: str):
    answer = ask(console.url, path)
    assert answer.status == 404
    assert answer.json()["error"]["title"] == "Not Found"


def test_nothing_can_be_written(console: Console):
    for path in OPENAPI["paths"]:
        answer = ask(console.url, path, "POST")
        assert answer.status == 405
        assert answer.json()["error"]["status"] == 405


@pytest.mark.parametrize(
    "path", ["/", "/static/main.js", "/healthz", "/nothing", "/api/tracks?x=1"]
)
def test_every_answer_carries_the_security_headers(console: Console, path: str):
    headers = ask(console.url, path).headers
    policy = {part.strip() for part in headers["content-security-policy"].split(";")}
    assert {"default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"} <= policy
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:8080", "10.1.2.3", "console.north.example"],
)
def test_own_names_may_ask(console: Console, host: str):
    assert ask(console.url, "/healthz", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "a b", "", "x:y", "[x]"]
)
def test_foreign_names_are_refused(console: Console, host: str):
    answer = ask(console.url, "/api/tracks", headers={"Host": host})
    assert answer.status == 421
    assert "error" in answer.json()
    assert "content-security-policy" in answer.headers


def test_scripts_and_page_are_asked_for_anew_each_time(console: Console):
    assert ask(console.url, "/").headers["cache-control"] == "no-cache"
    answer = ask(console.url, "/static/main.js")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"].startswith("text/javascript")
    again = ask(console.url, "/static/main.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304
