"""The feed over real sockets: deltas, slow readers, bad readers, a broken source."""

import socket
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from console.broadcast import Broadcast, core_time
from console.feed import FeedMessage, Kind, decode
from console.server import ServerThread
from tests.console.conftest import Console, SteppedSource


@contextmanager
def reading(url: str, **options: Any) -> Iterator[Connection]:
    with connect(url, proxy=None, **options) as feed:
        yield feed


def take(feed: Connection) -> FeedMessage:
    data = feed.recv(timeout=20)
    assert isinstance(data, bytes)
    return decode(data)


def answer(feed: Connection, message: FeedMessage) -> None:
    feed.send(message.sequence.to_bytes(4, "little"))


def test_first_a_snapshot_then_what_changed(console: Console):
    with reading(console.feed) as feed:
        first = take(feed)
        assert first.kind is Kind.SNAPSHOT
        assert (len(first.heads), len(first.labels), first.tentative) == (36, 36, 4)
        assert b'"sensors":["radar-coast"' in first.text
        assert first.server == console.source.time
        assert first.newest == console.source.tracks().valid.max()
        assert first.core == console.source.status()["core"]["time_ns"]
        answer(feed, first)
        console.source.step(1.0)
        message = take(feed)
        while not len(message.heads):
            assert message.kind is Kind.DELTA
            answer(feed, message)
            message = take(feed)
        assert len(message.heads) == 36  # each has a new head a second later
        assert len(message.labels) == 0
        assert message.text == b""


def test_nothing_comes_before_the_answer_and_then_the_newest(start: Callable[..., Console]):
    console = start(3000)  # a snapshot of 460 kB: more than a socket's buffers need to be full
    with reading(console.feed, max_size=None) as feed:
        first = take(feed)
        for _ in range(12):
            console.source.step(1.0)
            console.source.wait_polls(2)
        with pytest.raises(TimeoutError):
            feed.recv(timeout=0.1)
        console.source.wait_polls(2)
        answer(feed, first)
        second = take(feed)
        assert second.sequence >= first.sequence + 12  # the pictures between were never sent
        assert second.newest == console.source.tracks().valid.max()
        heads = dict(zip(second.heads["track_id"].tolist(), second.heads["valid"], strict=True))
        wanted = console.source.tracks()
        shown = wanted.take((wanted.status == 1) | (wanted.status == 2))
        assert heads == {
            i: v // 1000 / 1000 for i, v in zip(shown.track_id.tolist(), shown.valid, strict=True)
        }


def test_many_readers_each_at_their_own_pace(console: Console):
    with reading(console.feed) as quick, reading(console.feed) as slow:
        held = take(slow)
        for _ in range(5):
            answer(quick, take(quick))
        answer(slow, held)
        late = take(slow)
        assert late.kind is Kind.DELTA
        assert late.sequence > held.sequence


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x00\x00\x00", "4 bytes"),
        ("ok", "4 bytes"),
        (b"\xff\xff\xff\xff", "not under way"),
    ],
)
def test_a_wrong_answer_ends_the_feed_with_the_reason(console: Console, said: Any, why: str):
    with reading(console.feed) as feed:
        take(feed)
        feed.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            feed.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert why in closed.value.rcvd.reason


def test_too_long_an_answer_ends_the_feed(console: Console):
    with reading(console.feed) as feed:
        take(feed)
        feed.send(bytes(2000))
        with pytest.raises(ConnectionClosed) as closed:
            feed.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_who_never_answers_is_let_go():
    source = SteppedSource(3)
    broadcast = Broadcast(source, "n", clock=lambda: source.time, period_s=0.02, ack_timeout_s=0.2)

    @asynccontextmanager
    async def lifespan(_: Starlette):
        import asyncio

        task = asyncio.create_task(broadcast.run())
        yield
        task.cancel()

    app = Starlette(routes=[WebSocketRoute("/feed", broadcast.attend)], lifespan=lifespan)
    with ServerThread(app) as server, reading(server.url.replace("http", "ws") + "/feed") as feed:
        take(feed)
        with pytest.raises(ConnectionClosed) as closed:
            feed.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason == "no answer for 0.2 s"


def test_a_broken_source_keeps_the_picture_and_the_times_stand_still(console: Console):
    with reading(console.feed) as feed:
        first = take(feed)
        console.source.fault = OSError("outputs: disk gone")
        answer(feed, first)
        console.source.step(7.0)
        message = take(feed)
        while message.server != console.source.time:
            answer(feed, message)
            message = take(feed)
        assert (message.newest, message.core) == (first.newest, first.core)
        assert (len(message.heads), len(message.deleted)) == (0, 0)
        console.source.fault = None
        answer(feed, message)
        message = take(feed)
        while not len(message.heads):
            answer(feed, message)
            message = take(feed)
        assert message.newest > first.newest


def test_the_source_is_left_alone_when_nobody_looks(console: Console):
    with reading(console.feed) as feed:
        answer(feed, take(feed))
        console.source.wait_polls(3)
    # the server takes note of the leaving between two polls
    for _ in range(100):
        before = console.source.polls
        with pytest.raises(AssertionError):
            _quick_wait(console.source)
        if console.source.polls == before:
            return
    pytest.fail("still polling")


def _quick_wait(source: SteppedSource) -> None:
    """Five periods in which nothing may come."""
    with source._polled:
        before = source.polls
        assert source._polled.wait_for(lambda: source.polls > before, timeout=0.1)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_from_elsewhere_cannot_read_the_feed(console: Console, origin: str):
    with pytest.raises(InvalidStatus) as refused:
        connect(console.feed, origin=origin, proxy=None)  # type: ignore[arg-type] # Origin is a str
    assert refused.value.response.status_code == 403
    assert b"may not read the feed" in (refused.value.response.body or b"")


def test_a_foreign_host_name_cannot_read_the_feed(console: Console):
    address = urlsplit(console.url)
    sock = socket.create_connection((address.hostname or "", address.port or 0))
    with sock, pytest.raises(InvalidStatus) as refused:
        connect("ws://evil.example/feed", sock=sock, proxy=None)
    assert refused.value.response.status_code == 421


def test_the_own_page_reads_without_deflate(console: Console):
    with reading(console.feed, origin=console.url) as feed:  # the client offers deflate
        assert feed.response is not None
        assert "Sec-WebSocket-Extensions" not in feed.response.headers
        assert take(feed).kind is Kind.SNAPSHOT


def test_stopping_closes_open_feeds_at_once():
    from console.app import create_app

    source = SteppedSource(40)
    server = ServerThread(create_app(source, node="n", clock=lambda: source.time)).start()
    with reading(server.url.replace("http", "ws") + "/feed") as feed:
        take(feed)
        server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            feed.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({}, 0),
        ({"core": None}, 0),
        ({"core": {"time_ns": None}}, 0),
        ({"core": {"time_ns": True}}, 0),
        ({"core": {"time_ns": -1}}, 0),
        ({"core": {"time_ns": 2**70}}, 0),
        ({"core": {"time_ns": "5"}}, 0),
        ({"core": {"time_ns": 5}}, 5),
    ],
)
def test_the_cores_sign_of_life(status: dict[str, Any], wanted: int):
    assert core_time(status) == wanted
