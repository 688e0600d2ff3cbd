"""Run the console under uvicorn, in a loop that is already there or in a thread of its own."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from console.door import Door

GRACE_S = 3.0
"""Seconds that open requests and sockets get when the server stops."""

MAX_ANSWER_BYTES = 1024
"""Longest message taken from a reader of the feed; an acknowledgement has 4 bytes."""


class _Server(uvicorn.Server):
    """uvicorn's server, which also tells when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the process that runs this server."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that a taken port is an error before anything starts.

    Raises
    ------
    OSError
        If the address cannot be had; the message names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as cause:
        why = cause.strerror or str(cause)
        raise OSError(cause.errno, f"console: cannot listen on {host} port {port}: {why}") from None


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    ready: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
    door: Door | None = None,
) -> None:
    """Serve in the running loop until `stop` is set or the task is cancelled.

    Open feeds are closed with code 1012 (service restart), requests are finished, tasks are waited
    for at most `GRACE_S`. Signals are left alone.

    Parameters
    ----------
    app
        The application.
    host, port
        Where to listen; port 0: a free one.
    ready
        Called with the port once requests are answered.
    stop
        Set by the caller to end it.
    door
        HTTPS, for who has a certificate; None: in the clear, for everybody.

    Raises
    ------
    OSError
        If the address cannot be had.
    """
    with listen(host, port) as sock:
        config = uvicorn.Config(
            app,
            # `websockets-sansio` is the implementation that uses no deprecated part of
            # websockets 15 (`websockets` does: websockets.legacy).
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=MAX_ANSWER_BYTES,
            http="h11" if door is None else door.protocol(),
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(GRACE_S),
        )
        if door is not None:
            config.load()
            config.ssl = door.context
        server = _Server(config)
        running = asyncio.create_task(server.serve(sockets=[sock]), name="console.server")
        stopping = asyncio.create_task((stop or asyncio.Event()).wait(), name="console.stop")
        starting = asyncio.create_task(server.up.wait(), name="console.start")
        watching = (
            None
            if door is None
            else asyncio.create_task(
                door.watch(lambda: server.server_state.connections), name="console.door"
            )
        )
        try:
            await asyncio.wait({running, starting}, return_when=asyncio.FIRST_COMPLETED)
            if ready is not None and not running.done():
                ready(sock.getsockname()[1])
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.should_exit = True
            tasks = [task for task in (stopping, starting, watching) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await running
            finally:
                await _abort(server)


async def _abort(server: uvicorn.Server) -> None:
    """Cut what outlived the grace: a reader that stopped reading never takes its close frame."""
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # the transports tell their protocols in the next turn of the loop


class ServerThread:
    """The same in a thread of its own; a context manager.

    Parameters
    ----------
    app, host, port, door
        As for `serve`.

    Examples
    --------
    >>> with ServerThread(create_app(source, node="north"), "127.0.0.1", 8080) as server:
    ...     print(server.url)
    """

    def __init__(
        self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0, door: Door | None = None
    ) -> None:
        self._app = app
        self._door = door
        self._host = host
        self._asked_port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "http" if self._door is None else "https"
        return f"{scheme}://{host}:{self.port}"

    def start(self) -> Self:
        """Start, and return once it answers.

        Raises
        ------
        OSError
            If the address cannot be had.
        """
        self._thread.start()
        self._up.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def stop(self) -> None:
        """End it and wait until it has ended; may be called twice."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended by itself meanwhile
                loop.call_soon_threadsafe(stop.set)
        self._thread.join()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits for it
            self._failure = failure
        finally:
            self._up.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()

        def ready(port: int) -> None:
            self.port = port
            self._up.set()

        await serve(
            self._app,
            self._host,
            self._asked_port,
            ready=ready,
            stop=self._stop,
            door=self._door,
        )
