"""Start and stop: in a thread, in a loop that is there, and where the port is taken."""

import asyncio
import signal
import socket
import threading
import urllib.request

import pytest
from starlette.applications import Starlette
from websockets.sync.client import connect

from console.app import create_app
from console.server import GRACE_S, ServerThread, serve
from tests.console.conftest import SteppedSource


def app(count: int = 40) -> Starlette:
    source = SteppedSource(count)
    return create_app(source, node="n", clock=lambda: source.time, period_s=0.02)


def test_a_taken_port_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = ServerThread(app(), "127.0.0.1", port)
        with pytest.raises(OSError, match=f"console: cannot listen on 127.0.0.1 port {port}: "):
            server.start()


def test_it_stops_twice_and_frees_its_port():
    server = ServerThread(app()).start()
    assert urllib.request.urlopen(f"{server.url}/healthz").status == 200  # noqa: S310 - own server
    server.stop()
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "console"]


def test_in_a_given_loop_until_stopped_and_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)

    async def main() -> None:
        ports: list[int] = []
        up, stop = asyncio.Event(), asyncio.Event()

        def ready(port: int) -> None:
            ports.append(port)
            up.set()

        running = asyncio.create_task(serve(app(), "127.0.0.1", 0, ready=ready, stop=stop))
        await asyncio.wait_for(up.wait(), 20)
        assert signal.getsignal(signal.SIGTERM) is before
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        stop.set()
        await asyncio.wait_for(running, 20)

    asyncio.run(main())


def test_a_cancelled_server_ends_cleanly():
    async def main() -> None:
        up = asyncio.Event()
        running = asyncio.create_task(serve(app(), "::1", 0, ready=lambda _: up.set()))
        await asyncio.wait_for(up.wait(), 20)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_a_reader_that_stopped_reading_does_not_hold_the_end_up():
    server = ServerThread(app(40_000)).start()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", server.port))
    with sock:
        # the handshake, and then not a byte is read: the snapshot fills every buffer on the way
        sock.sendall(
            b"GET /feed HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        with connect(server.url.replace("http", "ws") + "/feed", max_size=None) as other:
            other.recv(timeout=20)
        ending = threading.Thread(target=server.stop)
        ending.start()
        ending.join(GRACE_S + 10)
        assert not ending.is_alive()
