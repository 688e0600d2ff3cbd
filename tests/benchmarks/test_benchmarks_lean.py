"""The lean sender against a real broker."""

import pytest

from benchmarks.lean import LeanPublisher
from link.client import Subscriber
from link.messages import Received
from link.settings import ClientSettings
from model.errors import LinkError
from tests.node.site import until
from vedette.local.broker import LocalBroker, find_mosquitto
from vedette.local.places import free_port

COUNT = 2_000


@pytest.fixture
def broker(server_folder):
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with LocalBroker(server_folder / "broker") as made:
        yield made


def test_every_message_arrives_once_and_whole_and_acks_are_counted(broker) -> None:
    here = {"host": broker.host, "port": broker.port, "protocol": "5"}
    payloads = [b"%d " % number * (1 + number % 300) for number in range(COUNT)]
    got: list[bytes] = []

    def take(batch: Received) -> None:
        got.extend(message.payload for message in batch.messages)
        reader.ack(batch.tokens)

    reader = Subscriber(ClientSettings(client_id="reader", **here), ["load/+"], take)
    reader.start()
    try:
        assert reader.wait_subscribed(20.0)
        sender = LeanPublisher(ClientSettings(client_id="sender", **here), in_flight=50)
        sender.start()
        rows = ((f"load/{number % 5}", payload) for number, payload in enumerate(payloads))
        told = sender.publish_all(rows)
        assert (told.sent, told.stored, told.unmatched, told.refused) == (COUNT, COUNT, 0, 0)
        sender.publish("nobody", b"reads this")
        assert sender.flush().unmatched == 1
        sender.stop()
        until(lambda: len(got) >= COUNT)
        assert got == payloads
    finally:
        reader.stop(5.0)


def test_a_broker_that_is_not_there_is_told() -> None:
    with pytest.raises(LinkError, match=r"broker 127\.0\.0\.1"):
        LeanPublisher(ClientSettings("127.0.0.1", free_port(), "sender"), 10).start()
