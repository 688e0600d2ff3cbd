"""The HTTP API over real sockets."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from console.app import create_app
from console.describe import OPENAPI
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


def test_tracks_of_some_statuses(console: Console):
    body = ask(console.url, "/api/tracks?status=coasting,tentative").json()
    assert {track["status"] for track in body["tracks"]} == {"coasting", "tentative"}
    status = console.source.tracks().status
    assert len(body["tracks"]) == ((status == Status.COASTING) | (status == Status.TENTATIVE)).sum()


@pytest.mark.parametrize(
    ("query", "said"), [("status=lost", "'lost' is not one of"), ("colour=red", "'colour'")]
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
