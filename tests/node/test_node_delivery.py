"""Gateway, broker and core, killed again and again: nothing is lost, nothing counts twice."""

import json
import random
import time
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest

from ingest.routes import unwrap
from link.courier import Came, Courier
from link.settings import ClientSettings
from model.records import Kind
from tests.node.logs import assert_same, assert_whole, outputs, records, undisturbed
from tests.node.site import WAIT_S, report, until
from tests.node.test_node_core import CoreUnderTest
from vedette.local.broker_files import Grant
from vedette.local.process import Child

pytestmark = [pytest.mark.node, pytest.mark.broker]

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)

REPORTS = 2_000
FRAMED = "vedette/north/sensors/radar-1/framed"


class GatewayUnderTest:
    """A gateway that follows a file."""

    def __init__(self, folder, broker, *more) -> None:
        self.lines = folder / "lines.jsonl"
        self.log = folder / "gateway.log"
        self.outbox = folder / "radar-1.outbox"
        self.arguments = [
            "gateway", "--broker", f"{broker.host}:{broker.port}", "--node", "north",
            "--sensor", "radar-1", "--outbox", str(self.outbox), "--follow", str(self.lines),
            "--resend-s", "1", "--json", *more,
        ]  # fmt: skip
        self.lines.touch()

    def start(self) -> Any:
        self.child = Child.python("gateway", "vedette", self.arguments, log=self.log)
        return self

    def stop(self) -> dict[str, Any]:
        self.code = self.child.terminate(WAIT_S)
        return dict(json.loads(self.log.read_text().splitlines()[-1]))


def frames(journal) -> list[Any]:
    found = [unwrap(r.payload) for r in records(journal) if r.kind == Kind.MESSAGE]
    assert not any(isinstance(frame, str) for frame in found)
    return found


@MOSQUITTO
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_2000_reports_through_eight_kills_are_stored_once(tmp_path, broker) -> None:
    gateway = GatewayUnderTest(tmp_path, broker).start()
    core = CoreUnderTest(tmp_path, broker)
    sent = [report(number, boot="hardware") for number in range(REPORTS)]
    victims = ["gateway", "core", "broker", "core", "gateway", "broker", "core", "gateway"]
    random.Random(11).shuffle(victims)
    step = REPORTS // (len(victims) + 1)

    def journaled() -> int:
        return len({sha256(f.payload).digest() for f in frames(core.journal)})

    with gateway.lines.open("ab") as file:
        for number, one in enumerate(sent):
            file.write(one + b"\n")
            file.flush()
            if number % step == step - 1 and victims:
                # In the middle of things: a part of what was written is on its way.
                until(lambda: journaled() > number - step, what=core.log_lines)  # noqa: B023 - called at once
                victim = victims.pop()
                if victim == "gateway":
                    gateway.child.kill()
                    gateway.start()
                elif victim == "core":
                    core.child.kill()
                    core.start()
                else:
                    broker.kill()
                    broker.start()
    assert not victims
    until(lambda: journaled() == REPORTS, what=core.log_lines)
    until(core.idle, what=core.status)
    status = gateway.stop()
    core.stop()
    assert gateway.code == 0
    assert (status["waiting"], status["cut_kept"]) == (0, 0)
    # The oracle: hashes of what was written to the file, against the journal alone.
    names: dict[bytes, set[tuple[str, int]]] = {}
    for frame in frames(core.journal):
        names.setdefault(sha256(frame.payload).digest(), set()).add((frame.boot, frame.seq))
    assert set(names) == {sha256(one).digest() for one in sent}  # 0 missing, 0 invented
    assert Counter(len(found) for found in names.values()) == {1: REPORTS}  # 0 under two names
    found = outputs(core.outputs)
    assert_whole(found)
    assert sum(batch.detections.n_reports for batch in found) == REPORTS  # 0 counted twice
    assert sorted(seq for b in found for seq in b.detections.seq.tolist()) == list(range(REPORTS))
    assert_same(found, undisturbed(core.journal))


@MOSQUITTO
def test_a_receipt_comes_retained_and_names_what_the_journal_holds(tmp_path, broker) -> None:
    core = CoreUnderTest(tmp_path, broker)
    core.wait_up()
    gateway = GatewayUnderTest(tmp_path, broker)
    gateway.lines.write_bytes(b"".join(report(n) + b"\n" for n in range(5)) + b"no report\n")
    gateway.start()
    until(lambda: len(frames(core.journal)) == 6, what=core.log_lines)
    status = gateway.stop()
    assert (gateway.code, status["stored"], status["waiting"]) == (0, 6, 0)
    # Who comes later finds it at the broker.
    came: list[bytes] = []
    late = Courier(
        ClientSettings(broker.host, broker.port, "late"),
        "vedette/north/receipts/radar-1",
        lambda: None,
    )
    late.start()

    def look() -> bool:
        came.extend(event.payload for event in late.events() if isinstance(event, Came))
        return bool(came)

    until(look)
    (journaled,) = {frame.boot for frame in frames(core.journal)}
    told = json.loads(came[0])
    assert told["through"] <= len(records(core.journal))
    assert told["stored"] == [
        {
            "sensor": "radar-1",
            "form": "framed",
            "boot": journaled,
            "seqs": [[0, 5]],  # that ingest refuses one of them changes nothing: it is stored
            "cut": [],
        }
    ]
    assert late.stop()
    core.stop()


@MOSQUITTO
def test_without_a_node_nothing_leaves_the_outbox(tmp_path, broker) -> None:
    """PUBACK comes for each, with reason 16 or, while the node is away, with success."""
    gateway = GatewayUnderTest(tmp_path, broker)
    gateway.lines.write_bytes(report(0) + b"\n" + report(1) + b"\n")
    gateway.start()
    until(lambda: gateway.outbox.with_name("radar-1.outbox-wal").exists())
    time.sleep(1.0)  # it has every chance to be wrong
    status = gateway.stop()
    assert gateway.code == 1
    assert (status["taken"], status["stored"], status["waiting"]) == (2, 0, 2)
    assert status["no_subscriber"] >= 1
    core = CoreUnderTest(tmp_path, broker)
    core.wait_up()
    core.child.kill()  # its session stays: now PUBACK says success, and still nothing is stored
    gateway.start()
    time.sleep(1.0)
    status = gateway.stop()
    assert (status["stored"], status["waiting"]) == (0, 2)
    core.start()
    gateway.start()
    until(lambda: len(frames(core.journal)) >= 2, what=core.log_lines)
    until(lambda: gateway.stop()["waiting"] == 0 or not gateway.start())
    core.stop()
    assert sum(batch.detections.n_reports for batch in outputs(core.outputs)) == 2


@MOSQUITTO
def test_what_is_too_long_for_the_node_is_kept_and_said(tmp_path, broker) -> None:
    core = CoreUnderTest(tmp_path, broker)
    core.wait_up()
    gateway = GatewayUnderTest(tmp_path, broker)
    gateway.lines.write_bytes(b"x" * 5000 + b"\n" + report(1) + b"\n")
    gateway.start()
    until(lambda: len(frames(core.journal)) == 1, what=core.log_lines)
    until(lambda: "are not sent again" in gateway.log.read_text())
    status = gateway.stop()
    assert gateway.code == 1
    assert (status["cut"], status["cut_kept"], status["waiting"]) == (1, 1, 0)
    core.stop()
    kinds = Counter(r.kind for r in records(core.journal))
    assert kinds[Kind.OVERSIZE] == 1


USERS = {"core": "c", "gate": "g"}
ACL = {
    "core": Grant((), ("vedette/north/sensors/#",)),
    "gate": Grant(("vedette/north/sensors/#",), ()),
}


@pytest.mark.parametrize(
    "broker", [{"prefer": "mosquitto", "users": USERS, "acl": ACL}], indirect=True
)
def test_a_broker_that_refuses_receipts_is_found_out(tmp_path, broker) -> None:
    for name, word in USERS.items():
        (tmp_path / name).write_text(word)
    core = CoreUnderTest(tmp_path, broker, login='username = "core"\npassword_file = "core"')
    core.wait_up()
    gateway = GatewayUnderTest(
        tmp_path, broker, "--username", "gate", "--password-file", str(tmp_path / "gate")
    )
    gateway.lines.write_bytes(report(0) + b"\n")
    gateway.start()
    until(lambda: core.status().get("receipts", {}).get("refused"), what=core.log_lines)
    assert "a publication is refused: Not authorized" in core.log_lines()
    status = gateway.stop()
    assert (gateway.code, status["stored"], status["waiting"]) == (1, 0, 1)
    core.stop()
