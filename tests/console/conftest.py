"""A console that really runs, fed by a source that the test moves by hand."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from console.app import create_app
from console.server import ServerThread
from model.time import NS_PER_S
from model.tracks import TrackUpdates
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
