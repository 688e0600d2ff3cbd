"""The process that plays a scenario: joins a world that has begun, as its own user, on its side."""

import json
import time

import pytest

from exercise.run import Exercise
from exercise.scenario import load_scenario, packaged
from link.client import Subscriber
from link.settings import ClientSettings
from tests.node.site import until, write_site
from vedette.demo_sharing import write_secret
from vedette.exercising import main
from vedette.local.broker_files import Grant
from vedette.local.process import Child

S = 1_000_000_000
USERS = {"core": "c", "sensors": "s"}
SENSORS = "vedette/north/sensors/#"
OPTIONS = {"users": USERS, "acl": {"core": Grant((), (SENSORS,)), "sensors": Grant((SENSORS,))}}


@pytest.mark.broker
@pytest.mark.parametrize("broker", [OPTIONS], indirect=True)
def test_who_comes_late_says_what_is_due_now_of_its_own_sensors(broker, tmp_path):
    site = write_site(tmp_path, broker)
    site.write_text(site.read_text().replace('"5"', f'"{broker.protocol}"'))
    secret = write_secret(tmp_path / "secret", USERS["sensors"])
    heard: list[tuple[int, str, bytes]] = []

    def take(batch) -> None:
        heard.extend((one.received_ns, one.topic, one.payload) for one in batch.messages)
        subscriber.ack(batch.tokens)

    settings = ClientSettings(
        broker.host, broker.port, "core", "core", USERS["core"], protocol=broker.protocol
    )
    subscriber = Subscriber(settings, [SENSORS], take)
    subscriber.start()
    assert subscriber.wait_subscribed(20.0)
    joined_ns = time.time_ns()
    start_ns = joined_ns - 20 * S
    arguments = [str(site), "--seed", "7", "--start-ns", str(start_ns)]
    arguments += ["--username", "sensors", "--password-file", str(secret)]
    log = tmp_path / "log"
    with Child.python("sensors", "vedette.exercising", arguments, log=log) as player:
        until(lambda: len(heard) >= 40, 60.0, player.log_tail)
        assert player.terminate(10.0) == 0
    assert subscriber.stop(5.0)
    said = json.loads(log.read_text().splitlines()[-1])
    assert said["refused"] == 0
    assert said["sent"] == said["stored"] == len(heard)

    scenario = load_scenario(packaged("border")).of_node("north")
    exercise = Exercise(scenario, 7, start_ns=start_ns, node="north", mode="live")
    seconds = (heard[-1][0] - start_ns) / 1e9 + 5.0
    due = {(one.topic, one.payload): one.send_ns for one in exercise.emissions(seconds)}
    sent = [due[topic, payload] for _, topic, payload in heard]  # bit for bit
    assert min(sent) >= joined_ns
    assert sent == sorted(sent)
    first = sent.index(min(sent))
    missing = [one for one in due.values() if sent[first] < one < sent[-1] and one not in sent]
    assert missing == []
    late = [received - one for (received, *_), one in zip(heard, sent, strict=True)]
    assert min(late) >= 0


def test_mistakes_are_a_line_each(tmp_path, capsys):
    site = write_site(tmp_path)
    assert main([str(site), "--password-file", str(tmp_path / "none")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
    site.write_text(site.read_text().replace('name = "north"', 'name = "west"'))
    assert main([str(site)]) == 2
    assert "no sensor of node 'west'" in capsys.readouterr().err
