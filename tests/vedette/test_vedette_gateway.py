"""A gateway's inputs, its bounds and its end; the broker is a fake that keeps what it gets."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from ingest.outbox import Outbox, OutboxFull
from ingest.receipts import Entry, Receipt, encode_receipt
from ingest.routes import unwrap
from link.connection import LinkStatus
from link.courier import Answer, Came, Event, Lost, Up
from link.settings import ClientSettings
from tests.node.site import until
from vedette.cli import main
from vedette.gateway import Bounds, Gateway, Where
from vedette.gateway_inputs import (
    Hopper,
    Input,
    device,
    followed,
    tcp_client,
    tcp_server,
    udp,
)

WHERE = Where(ClientSettings("127.0.0.1", 1), "vedette/north", "s", "g")
BOUNDS = Bounds(max_bytes=1 << 20, max_age_s=3600.0, resend_s=5.0)


class FakeCourier:
    """A broker and a node that store everything and say so, unless told otherwise."""

    def __init__(self) -> None:
        self.status = LinkStatus(connected=True, epoch=1)
        self.failed = None
        self.ready = True
        self.stores = True
        self.got: list[Any] = []
        self.todo: list[Event] = [Up("")]

    def start(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""

    def offer(self, topic: str, payload: bytes) -> Any:
        assert topic == "vedette/north/sensors/s/framed"
        frame = unwrap(payload)
        assert not isinstance(frame, str)
        self.got.append(frame)
        handle = (1, len(self.got))
        self.todo.append(Answer(handle, True, True, "Success"))
        if self.stores:
            self.tell(frame.boot, frame.seq)
        return handle

    def tell(self, boot: str, seq: int) -> None:
        entry = Entry("s", "framed", boot, [(seq, seq)])
        self.todo.append(Came(encode_receipt(Receipt(1, "g", 1, (entry,)))))

    def events(self) -> list[Event]:
        found, self.todo = self.todo, []
        return found


def make(path, bounds=BOUNDS, boot="b") -> tuple[Gateway, FakeCourier]:
    gateway = Gateway(WHERE, Outbox(path / "s.outbox", "s", boot), boot, bounds)
    courier = FakeCourier()
    gateway.courier = courier  # type: ignore[assignment]
    return gateway, courier


def silent(hopper) -> Input:
    """An input that says nothing until it is stopped."""

    def read(one: Input) -> None:
        one.stopping.wait()

    return Input("silent", hopper, read)


def payloads(courier) -> list[bytes]:
    return [frame.payload for frame in courier.got]


def running(gateway, source) -> threading.Thread:
    thread = threading.Thread(target=gateway.run, args=(source,), daemon=True)
    thread.start()
    return thread


def ended(gateway, thread) -> dict[str, Any]:
    gateway.stopping.set()
    thread.join()
    status = gateway.status()
    gateway.outbox.close()
    return dict(status)


def test_tcp_from_both_sides(tmp_path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    where = listener.getsockname()
    gateway, courier = make(tmp_path)
    thread = running(gateway, tcp_server(gateway.hopper, listener, "lines"))
    with socket.create_connection(where) as one, socket.create_connection(where) as two:
        one.sendall(b"a1\na")
        two.sendall(b"b1\r\nb2")
        until(lambda: len(courier.got) == 2)
        one.sendall(b"2\n")
    until(lambda: len(courier.got) == 4)
    assert sorted(payloads(courier)) == [b"a1", b"a2", b"b1", b"b2"]
    status = ended(gateway, thread)
    assert (status["taken"], status["stored"], status["waiting"]) == (4, 4, 0)

    hardware = socket.create_server(("127.0.0.1", 0))
    (tmp_path / "2").mkdir()
    gateway, courier = make(tmp_path / "2")
    thread = running(gateway, tcp_client(gateway.hopper, hardware.getsockname(), "lines"))
    for turn in (b"x\n", b"y\nz"):  # it goes away and comes back
        peer, _ = hardware.accept()
        peer.sendall(turn)
        peer.close()
        until(lambda: turn.split()[-1] in payloads(courier))  # noqa: B023 - called at once
    assert payloads(courier) == [b"x", b"y", b"z"]
    ended(gateway, thread)
    hardware.close()


def test_udp_is_a_message_a_datagram(tmp_path) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    where = sock.getsockname()
    gateway, courier = make(tmp_path)
    thread = running(gateway, udp(gateway.hopper, sock))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hardware:
        hardware.sendto(b"one\ntwo", where)
        hardware.sendto(b"", where)
        hardware.sendto(b"three", where)
    until(lambda: len(courier.got) == 2)
    assert payloads(courier) == [b"one\ntwo", b"three"]
    assert ended(gateway, thread)["dropped_datagrams"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it dropped")
def test_datagrams_that_the_system_dropped_are_counted(tmp_path) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.SOL_SOCKET, 40, 1)
    sock.bind(("127.0.0.1", 0))
    where = sock.getsockname()
    hopper = Hopper(lambda: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hardware:
        for number in range(200):
            hardware.sendto(b"%0500d" % number, where)
        source = udp(hopper, sock)
        source.start()
        until(lambda: len(hopper) and not hopper.take(0))
        for _ in range(20):
            hardware.sendto(b"last", where)
        until(lambda: hopper.dropped > 0)
        source.stop(5.0)


def test_a_serial_line_is_read_in_pieces_and_opened_again(tmp_path) -> None:
    path = tmp_path / "tty"
    os.mkfifo(path)
    gateway, courier = make(tmp_path)
    writer = os.open(path, os.O_RDWR)
    thread = running(gateway, device(gateway.hopper, path, "none"))
    os.write(writer, bytes(range(256)))
    until(lambda: b"".join(payloads(courier)) == bytes(range(256)))
    os.close(writer)
    until(lambda: gateway.hopper.problem == "came to its end")
    writer = os.open(path, os.O_RDWR)
    os.write(writer, b"again")
    until(lambda: payloads(courier)[-1] == b"again")
    ended(gateway, thread)
    os.close(writer)


def test_a_followed_file_grows_is_exchanged_is_cut_and_is_remembered(tmp_path) -> None:
    path = tmp_path / "lines"
    gateway, courier = make(tmp_path, boot="b1")
    thread = running(gateway, followed(gateway.hopper, path, None))
    until(lambda: gateway.hopper.problem)  # it is not there yet
    path.write_bytes(b"1\n2\nhal")
    until(lambda: len(courier.got) == 2)
    with path.open("ab") as file:
        file.write(b"f\n3")
    until(lambda: len(courier.got) == 3)
    ended(gateway, thread)
    with path.open("ab") as file:
        file.write(b"\n4\n")
    gateway, courier = make(tmp_path, boot="b2")
    place = gateway.outbox.place(str(path))
    assert place is not None
    assert place.position == len(b"1\n2\nhalf\n")
    thread = running(gateway, followed(gateway.hopper, path, place))
    until(lambda: len(courier.got) == 2)
    path.rename(tmp_path / "lines.1")
    with (tmp_path / "lines.1").open("ab") as file:
        file.write(b"5\nlast")
    path.write_bytes(b"new\n")
    until(lambda: len(courier.got) == 5)
    path.write_bytes(b"c\n")  # cut: shorter than it was
    until(lambda: len(courier.got) == 6)
    assert payloads(courier) == [b"3", b"4", b"5", b"last", b"new", b"c"]
    ended(gateway, thread)


def test_what_stands_in_a_chunk_is_kept_together_with_its_place(tmp_path) -> None:
    """However many lines a chunk holds: after a kill none is read again, and none is missed."""
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(5_000)))
    hopper = Hopper(lambda: None)
    source = followed(hopper, path, None)
    source.start()
    until(lambda: len(hopper))
    group = hopper.take(1)
    source.stop(5.0)
    assert len(group) == 5_000
    assert [item.place for item in group[:-1]] == [None] * 4_999
    assert group[-1].place is not None
    assert group[-1].place.position == path.stat().st_size


def test_a_full_outbox_stops_reading_and_says_so(tmp_path) -> None:
    bounds = Bounds(max_bytes=300, max_age_s=3600.0, resend_s=5.0)
    listener = socket.create_server(("127.0.0.1", 0))
    gateway, courier = make(tmp_path, bounds)
    courier.stores = False
    thread = running(gateway, tcp_server(gateway.hopper, listener, "lines"))
    sent = [b"%0100d" % number for number in range(8)]
    with socket.create_connection(listener.getsockname()) as hardware:
        for number, one in enumerate(sent):
            hardware.sendall(one + b"\n")
            until(lambda: gateway.counts.taken > number or gateway.stopped_reading)  # noqa: B023
        until(lambda: gateway.stopped_reading)
        assert "the outbox is full" in gateway.stopped_reading
        assert gateway.outbox.bytes < 300 + 164
        waits = gateway.counts.taken
        courier.stores = True
        for frame in list(courier.got):
            courier.tell(frame.boot, frame.seq)
        until(lambda: gateway.counts.stored == len(sent))
    assert waits < len(sent)
    assert payloads(courier)[: len(sent)] == sent
    status = ended(gateway, thread)
    assert (status["reading_stopped"], status["waiting"]) == ("", 0)


def test_an_outbox_grown_old_stops_reading(tmp_path) -> None:
    gateway, courier = make(tmp_path, Bounds(1 << 20, 60.0, 5.0))
    courier.stores = False
    gateway.outbox.put([(time.time_ns() - 61 * 10**9, b"old")])
    gateway.hopper.put([])
    gateway.step("x")
    assert "waits for its receipt for 0.0 h" in gateway.stopped_reading
    gateway.outbox.close()


def test_a_full_disk_keeps_everything_until_there_is_room(tmp_path, monkeypatch) -> None:
    gateway, courier = make(tmp_path)
    real = gateway.outbox.put
    tries = []

    def put(items, place=None) -> Any:
        tries.append(items)
        if len(tries) < 3:
            raise OutboxFull("s.outbox: database or disk is full")
        return real(items, place)

    monkeypatch.setattr("vedette.gateway.FULL_S", 0.01)
    monkeypatch.setattr(gateway.outbox, "put", put)
    source = Input("x", gateway.hopper, lambda one: one.put([b"kept"]))
    thread = running(gateway, source)
    thread.join()
    assert tries == [tries[0]] * 3
    assert payloads(courier) == [b"kept"]
    assert gateway.counts.stored == 1
    gateway.outbox.close()


def test_a_stop_keeps_what_was_read(tmp_path) -> None:
    gateway, courier = make(tmp_path)
    courier.ready = False
    thread = running(gateway, silent(gateway.hopper))
    gateway.hopper.put([])
    until(lambda: thread.is_alive())
    gateway.stopping.set()
    thread.join()
    assert gateway.status()["waiting"] == 0
    gateway.outbox.close()
    gateway, courier = make(tmp_path, boot="b2")
    courier.ready = False
    gateway.stopping.set()  # asked to stop before the first step
    gateway.run(Input("x", gateway.hopper, lambda one: one.put([b"read"])))
    assert gateway.status()["waiting"] == 1
    gateway.outbox.close()


def test_the_end_of_a_connection_sends_again_what_was_on_its_way(tmp_path) -> None:
    gateway, courier = make(tmp_path)
    courier.stores = False
    gateway.outbox.put([(time.time_ns(), b"x")])
    gateway.step("x")
    courier.todo = [Lost(((1, 1),)), Up("")]
    gateway.step("x")
    assert payloads(courier) == [b"x", b"x"]
    assert gateway.status()["sent_again"] == 1
    gateway.outbox.close()


def test_a_hopper_holds_its_reader_back() -> None:
    hopper = Hopper(lambda: None)
    through = []

    def read(one: Input) -> None:
        for number in range(4):
            one.put([bytes(600_000)])
            through.append(number)

    source = Input("x", hopper, read)
    source.start()
    until(lambda: len(through) == 2)
    assert len(hopper.take(1)) == 1
    until(lambda: len(through) == 3)
    source.stop(5.0)  # what was read is put in all the same
    assert len(hopper.take(99)) == 3


def test_an_input_that_fails_is_told(tmp_path) -> None:
    gateway, _ = make(tmp_path)

    def read(one: Input) -> None:
        raise OSError("the cable is out")

    with pytest.raises(Exception, match="the cable is out"):
        gateway.run(Input("tty", gateway.hopper, read))
    gateway.outbox.close()


def test_mistakes_are_said_in_a_line_each(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = ["gateway", "--broker", "127.0.0.1:1", "--sensor", "s"]
    for more, told in (
        ([], "--node: is missing"),
        (["--node", "a/b"], "--node: 'a/b' is no name"),
        (["--node", "n", "--tcp", "nowhere"], "--tcp: 'nowhere' is not HOST:PORT"),
        (["--node", "n", "--max-mb", "0"], "--max-mb: must be above 0"),
        (["--node", "n", "--resend-s", "0"], "--resend-s: must be 0.1 or more"),
        (["--node", "n", "--password-file", "none"], "--password-file: "),
        (["--node", "n", "--udp", "192.0.2.1:1"], "--udp: 192.0.2.1:1: "),
    ):
        assert main([*base, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line


def test_standard_input_without_a_broker_waits_in_the_outbox(tmp_path) -> None:
    command = [
        sys.executable, "-m", "vedette", "gateway", "--broker", "127.0.0.1:1", "--node", "n",
        "--sensor", "s", "--outbox", str(tmp_path / "s.outbox"), "--wait-s", "0", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, input=b"one\ntwo\nrest", capture_output=True, check=False)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["taken"], told["waiting"], told["broker"]["connected"]) == (3, 3, False)
    with Outbox(tmp_path / "s.outbox", "s", "b") as outbox:
        assert [row.payload for row in outbox.after(0, 9)] == [b"one", b"two", b"rest"]
        assert outbox.place("stdin") is None
