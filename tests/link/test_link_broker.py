"""`Subscriber` and `Publisher` against real brokers."""

import threading
import time
from typing import Any

import pytest

from link.client import Subscriber
from link.messages import Incoming, Token
from link.publisher import Publisher
from link.settings import ClientSettings
from model.errors import LinkError
from vedette.local.broker_files import Grant

pytestmark = pytest.mark.broker

BROKERS = [{"prefer": "mosquitto"}, {"prefer": "amqtt"}]
EITHER = pytest.mark.parametrize("broker", BROKERS, indirect=True, ids=["mosquitto", "amqtt"])
MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)
WITH_PASSWORD = {"prefer": "mosquitto", "users": {"core": "right"}}
VERSIONS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])

WAIT_S = 20.0
WRONG = "a wrong one"


class Taker:
    """Keeps what was handed over; acks at once unless told not to."""

    def __init__(self, broker, filters=("t/#",), client_id="core", *, acks=True, **more) -> None:
        self.changed = threading.Condition()
        self.messages: list[Incoming] = []
        self.tokens: list[Token] = []
        self.acks = acks
        settings = ClientSettings(broker.host, broker.port, client_id, **more)
        self.subscriber = Subscriber(settings, filters, self.take)

    def take(self, batch) -> Any:
        with self.changed:
            self.messages.extend(batch.messages)
            self.tokens.extend(batch.tokens)
            self.changed.notify_all()
        if self.acks:
            self.subscriber.ack(batch.tokens)

    def payloads(self) -> Any:
        return [m.payload for m in self.messages]

    def wait(self, condition) -> Any:
        with self.changed:
            assert self.changed.wait_for(condition, WAIT_S), (
                len(self.messages),
                self.subscriber.status,
                self.subscriber.counts,
            )

    def __enter__(self) -> Any:
        self.subscriber.start()
        assert self.subscriber.wait_subscribed(WAIT_S), self.subscriber.status
        return self

    def __exit__(self, *_) -> None:
        assert self.subscriber.stop()
        assert self.subscriber.failed is None


def publisher(broker, **more) -> Any:
    made = Publisher(ClientSettings(broker.host, broker.port, "source"), **more)
    made.start()
    return made


def until(condition) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def numbered(count, topic="t/a") -> Any:
    return [(topic, b"%d" % n) for n in range(count)]


@EITHER
def test_everything_arrives_once_and_in_order(broker) -> None:
    with Taker(broker) as taker:
        source = publisher(broker)
        published = source.publish_all(numbered(300))
        assert (published.sent, published.stored) == (300, 300)
        taker.wait(lambda: len(taker.messages) >= 300)
        assert taker.payloads() == [p for _, p in numbered(300)]
        assert taker.subscriber.status.protocol == broker.protocol
        until(lambda: taker.subscriber.counts.acked == 300)
        assert source.stop()


@MOSQUITTO
def test_nobody_subscribed_is_not_stored(broker) -> None:
    source = publisher(broker)
    published = source.publish_all(numbered(30))
    assert (published.stored, published.unmatched) == (0, 30)
    assert source.stop()


@MOSQUITTO
@VERSIONS
def test_what_was_not_acked_comes_again_and_is_known(broker, protocol) -> None:
    with Taker(broker, acks=False, protocol=protocol) as taker:
        source = publisher(broker)
        source.publish_all(numbered(15))
        taker.wait(lambda: len(taker.messages) == 15)
        broker.stop()
        until(lambda: not taker.subscriber.status.connected)
        old = list(taker.tokens)
        broker.start()
        taker.wait(lambda: len(taker.tokens) == 30)
        assert len(taker.messages) == 15
        assert taker.subscriber.counts.redelivered == 15
        taker.subscriber.ack(old)  # of the connection before: must not go out
        assert taker.subscriber.counts.stale_acks == 15
        assert taker.subscriber.counts.acked == 0
        taker.subscriber.ack(taker.tokens[15:])
        assert taker.subscriber.counts.acked == 15
        source.publish_all(numbered(5))
        taker.wait(lambda: len(taker.messages) == 20)
        assert source.stop()


@MOSQUITTO
def test_stale_acks_never_take_the_place_of_new_messages(broker) -> None:
    """Without the guard 100 of 100 new messages were acknowledged unread."""
    with Taker(broker, acks=False) as taker:
        source = publisher(broker)
        source.publish_all(numbered(100))
        taker.wait(lambda: len(taker.messages) == 100)
        stale = list(taker.tokens)
        broker.kill()  # its memory, and our session with it, is gone: identifiers begin anew
        until(lambda: not taker.subscriber.status.connected)
        broker.start()
        assert taker.subscriber.wait_subscribed(WAIT_S)
        source.publish_all(numbered(100, "t/new"))
        taker.wait(lambda: len(taker.messages) == 200)
        assert {t.mid for t in stale} & {t.mid for t in taker.tokens[100:]}
        taker.subscriber.ack(stale)
        assert source.stop()
    with Taker(broker) as again:  # the same session: all hundred are still owed
        again.wait(lambda: len(again.messages) == 100)
        assert {m.topic for m in again.messages} == {"t/new"}


@MOSQUITTO
def test_a_paused_subscriber_leaves_everything_to_the_broker(broker) -> None:
    with Taker(broker) as taker:
        source = publisher(broker)
        source.publish_all(numbered(10))
        taker.wait(lambda: len(taker.messages) == 10)
        assert taker.subscriber.pause()
        source.publish_all(numbered(7))
        until(lambda: taker.subscriber.counts.left == 7)
        assert len(taker.messages) == 10
        assert source.stop()
    with Taker(broker) as again:
        again.wait(lambda: len(again.messages) == 7)


@EITHER
def test_retained_copies_are_not_data(broker) -> None:
    source = publisher(broker)
    client_thread = Taker(broker, filters=("elsewhere",), client_id="other")
    with client_thread:
        source.publish_all([("elsewhere", b"x")])
        with source._lock:
            client = source._client
        info = client.publish("t/kept", b"old", qos=1, retain=True)
        info.wait_for_publish(WAIT_S)
    with Taker(broker) as taker:
        source.publish_all([("t/a", b"new")])
        taker.wait(lambda: len(taker.messages) >= 1)
        assert taker.payloads() == [b"new"]
        if broker.protocol == "3.1.1":  # cannot be asked not to send them
            until(lambda: taker.subscriber.counts.retained == 1)
    assert source.stop()


@MOSQUITTO
def test_a_publisher_survives_the_brokers_restart(broker) -> None:
    with Taker(broker) as taker:
        source = publisher(broker)
        source.publish_all(numbered(10))
        failed = []

        def publish() -> Any:
            try:
                source.publish_all((f"t/{n}", b"x") for n in range(2000))
            except LinkError as error:
                failed.append(error)

        thread = threading.Thread(target=publish)
        thread.start()
        taker.wait(lambda: len(taker.messages) > 100)
        broker.stop()
        broker.start()
        thread.join(WAIT_S)
        assert not failed
        taker.wait(lambda: len({m.topic for m in taker.messages}) == 2001)
        assert source.counts.stored == 2010
        assert source.stop()


def test_a_broker_that_is_not_there_is_one_clear_error() -> None:
    source = Publisher(ClientSettings("127.0.0.1", 1, "source"), patience_s=0.3)
    source.start()
    with pytest.raises(LinkError, match=r"127\.0\.0\.1:1.*1 messages unanswered.*refused"):
        source.publish_all([("t", b"x")])
    assert source.stop()


@pytest.mark.parametrize("broker", [WITH_PASSWORD], indirect=True)
def test_a_wrong_password_is_named(broker) -> None:
    settings = ClientSettings(broker.host, broker.port, "c", username="core", password=WRONG)
    subscriber = Subscriber(settings, ["t"], print)
    subscriber.start()
    until(lambda: "refuses: Not authorized" in subscriber.status.reason)
    assert WRONG not in repr(settings)
    assert subscriber.stop()


GRANTED = {**WITH_PASSWORD, "acl": {"core": Grant(("mine/#",), ("t/#",))}}


@pytest.mark.parametrize("broker", [GRANTED], indirect=True)
def test_what_the_broker_says_of_a_publication_is_known_until_it_says_otherwise(broker) -> None:
    credentials = {"username": "core", "password": "right", "protocol": "5"}
    with Taker(broker, **credentials) as taker:
        link = taker.subscriber
        assert link.publish("theirs", b"x", qos=1)
        until(lambda: link.refusal == "Not authorized")
        assert link.publish("theirs", b"x")  # of this nothing is ever heard
        assert link.publish("mine/a", b"x", qos=1)
        until(lambda: not link.unanswered)
        assert (link.refusal, link.refused_publications) == ("", 1)
        broker.stop()
        until(lambda: not link.status.connected)
        assert not link.publish("theirs", b"x", qos=1)
        assert not link.unanswered


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"protocol": "4"}, "protocol"),
        ({"receive_maximum": 70_000}, "receive_maximum"),
        ({"keepalive_s": 0}, "keepalive"),
    ],
)
def test_settings_name_what_is_wrong(values, named) -> None:
    with pytest.raises(LinkError, match=named):
        ClientSettings(**{"host": "h", **values})
