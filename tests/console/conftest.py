"""Consoles that really run, fed by a source that moves, and a browser to look at them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.app import base_map_problem, create_app
from console.server import ServerThread
from model.time import NS_PER_S
from model.tracks import TrackUpdates
from tests.console.browser import Browser, find_browser
from tests.console.moving import MovingSource

START = 1_772_366_400_250_000_000


class SteppedSource(MovingSource):
    """Moves only when told; tells when it was asked; partners give only what a test says."""

    def __init__(self, count: int) -> None:
        self.time = START
        self.polls = 0
        self._polled = threading.Condition()
        super().__init__(count, clock=lambda: self.time)
        self.partners = ()

    def tracks(self) -> TrackUpdates:
        """As `MovingSource`, counted."""
        with self._polled:
            self.polls += 1
            self._polled.notify_all()
        return super().tracks()

    def step(self, seconds: float = 1.0) -> None:
        """Let time go on."""
        self.time += round(seconds * NS_PER_S)

    def wait_polls(self, more: int) -> None:
        """Wait until it was asked so many times more."""
        with self._polled:
            wanted = self.polls + more
            assert self._polled.wait_for(lambda: self.polls >= wanted, timeout=20)


@dataclass
class Console:
    """A running console and its source."""

    source: SteppedSource
    url: str

    @property
    def feed(self) -> str:
        """Address of the feed."""
        return self.url.replace("http", "ws", 1) + "/feed"


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Console]]:
    """Starts consoles; ends them with the module."""
    running: list[ServerThread] = []

    def start(count: int = 40) -> Console:
        source = SteppedSource(count)
        app = create_app(
            source,
            node="north",
            hosts=["console.north.example"],
            clock=lambda: source.time,
            period_s=0.02,
        )
        running.append(ServerThread(app).start())
        return Console(source, running[-1].url)

    try:
        yield start
    finally:
        for server in running:
            server.stop()


@pytest.fixture(scope="module")
def shared_console(start: Callable[..., Console]) -> Console:
    """One console of forty tracks."""
    return start()


@pytest.fixture
def console(shared_console: Console) -> Console:
    """The same, well and in the middle of its day, whatever a test before did."""
    source = shared_console.source
    source.time, source.fault, source.well = START, None, (True, "all sensors report")
    source.partners = ()
    return shared_console


# -- the page


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this room; the others have its share of the machine back."""
    if find_browser() is None:
        pytest.skip("no chromium on the PATH")
    with Browser.start(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def base_map() -> None:
    """The base map, as set-up built it."""
    if problem := base_map_problem():
        pytest.skip(problem)


@pytest.fixture
def browser(
    request: pytest.FixtureRequest,
    chromium: Browser,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Browser]:
    """The browser without a page; afterwards too: a page left open would go on to look for its
    server under a port that is another's now.

    There is no base map where a test does not ask for it: drawn in software, it takes seconds.
    """
    if "base_map" not in request.fixturenames:
        monkeypatch.setattr("console.app.VENDOR", tmp_path)
    yield chromium
    chromium.close_pages()


@pytest.fixture
def source() -> MovingSource:
    """Forty tracks that move by the clock."""
    return MovingSource(40)


@pytest.fixture
def server(source: MovingSource) -> Iterator[ServerThread]:
    """A console of `source`."""
    with ServerThread(create_app(source, node="north")) as server:
        yield server
