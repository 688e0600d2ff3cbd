"""Every role on every topic: allowed exactly where it should be, and refusals are in the audit log.

Delivery counts, not what the broker answers: a witness who may read everything sees what was
published, a herald who may publish everything shows who can read.
"""

import subprocess
from collections.abc import Iterable

import pytest

from link.prober import Prober
from link.settings import Tls
from tests.identities.secured import GONE, PEOPLE, Secured
from vedette.audit import AuditLog
from vedette.broker.refusals import Follower, Judge, follower_of
from vedette.broker.revocation import revoke
from vedette.local.broker_files import Grant, acl_lines
from vedette.pki.authority import Authority
from vedette.pki.names import Identity, Role

pytestmark = pytest.mark.broker

RECORDER, PLAYER = Identity(Role.RECORDER, "north"), Identity(Role.PLAYER, "north")
WITNESS = Identity(Role.VIEWER, "witness")
HERALD = Identity(Role.VIEWER, "herald")

ROOT = "vedette/north"
SHARED = f"{ROOT}/shared"

RECEIPT_A, RECEIPT_B = f"{ROOT}/receipts/gateway-a", f"{ROOT}/receipts/gateway-b"
OF_A = [f"{ROOT}/sensors/radar-1/{leaf}" for leaf in ("reports", "raw", "framed", "status")]
OF_B = [f"{ROOT}/sensors/ais-1/{leaf}" for leaf in ("reports", "raw", "framed", "status")]
OF_B += ["harbour/ais"]
COMMANDS = f"{ROOT}/commands"
QUARANTINE = [f"{ROOT}/quarantine/radar-1", f"{ROOT}/quarantine/ais-1"]
TO_SOUTH = [f"{SHARED}/south/a1/{lane}" for lane in ("live", "live.json", "backfill")]
TO_WEST = [f"{SHARED}/west/a1/{lane}" for lane in ("live", "live.json", "backfill")]
FROM_SOUTH = [f"{SHARED}/south/a1/{answer}" for answer in ("ack", "control")]
FROM_WEST = [f"{SHARED}/west/a1/{answer}" for answer in ("ack", "control")]
NEW_SENSOR = f"{ROOT}/sensors/radar-9/reports"
NOBODYS = [
    f"{ROOT}/sensors/radar-1",
    f"{ROOT}/sensors/radar-1/reports/more",
    NEW_SENSOR,
    f"{ROOT}/sensors/radar-1/other",
    f"{ROOT}/receipts/gateway-a/more",
    f"{SHARED}/south/a1",
    f"{SHARED}/south/a1/live/more",
    f"{SHARED}/east/a1/live",
    "vedette/south/sensors/radar-1/reports",
    "vedette-exercise/north/sensors/radar-1/reports",
    "vedette-exercise/north/commands",
    "harbour/ais/more",
    "somewhere/else",
]
TOPICS = [
    RECEIPT_A, RECEIPT_B, *OF_A, *OF_B, COMMANDS, *QUARANTINE,
    *TO_SOUTH, *TO_WEST, *FROM_SOUTH, *FROM_WEST, *NOBODYS,
]  # fmt: skip

PUBLISH = {
    "node:north": {RECEIPT_A, RECEIPT_B, *QUARANTINE},
    "console:north": {COMMANDS},
    "source:gateway-a": {*OF_A},
    "source:gateway-b": {*OF_B},
    "publisher:south": {*TO_SOUTH},
    "publisher:west": {*TO_WEST},
    "partner:south": {*FROM_SOUTH},
    "partner:west": {*FROM_WEST},
    "viewer:south": set(),
    "operator:anna": set(),
    "recorder:north": set(),
    "player:north": set(),
}
READ = {
    "node:north": {*OF_A, *OF_B, COMMANDS, NEW_SENSOR},
    "console:north": set(),
    "source:gateway-a": {RECEIPT_A},
    "source:gateway-b": {RECEIPT_B},
    "publisher:south": {*FROM_SOUTH},
    "publisher:west": {*FROM_WEST},
    "partner:south": {*TO_SOUTH},
    "partner:west": {*TO_WEST},
    "viewer:south": {TO_SOUTH[1]},
    "operator:anna": set(),
    "recorder:north": {*OF_A[:3], *OF_B[:3], "harbour/ais", NEW_SENSOR},
    "player:north": set(),
}
EXERCISED = {**PUBLISH, "player:north": {*OF_A[:3], *OF_B[:3], NEW_SENSOR}}
"""What is published in an exercise, by the names of live topics."""

CASES = [
    *(("live", who) for who in PEOPLE),
    *(("exercise", who) for who in (PEOPLE[0], PEOPLE[2], RECORDER, PLAYER)),
]
"""In an exercise the grants of all others are made of the same lines."""


def in_mode(mode: str, topics: Iterable[str]) -> list[str]:
    """Topics of a live node as they stand in a mode; in an exercise the live ones are foreign."""
    if mode == "live":
        return list(topics)
    other = {"vedette": "vedette-exercise", "vedette-exercise": "vedette"}
    parts = [topic.partition("/") for topic in topics]
    return [f"{other.get(head, head)}{slash}{rest}" for head, slash, rest in parts]


class Watched(Secured):
    """With a witness, a herald, and a follower of the broker's log."""

    def configure(self) -> None:
        super().configure()
        for who in (WITNESS, HERALD):
            self.authority.issue(who)
        more = {str(WITNESS): Grant((), ("#", "$SYS/#")), str(HERALD): Grant(("#",), ())}
        with self.broker.acl.open("a") as file:
            file.write("\n" + acl_lines(more))

    def follower(self) -> Follower:
        found = follower_of(self.site)
        assert found is not None
        return found

    def refusals(self) -> set[tuple[str, str, str]]:
        """(action, who, topic) of all refusals so far."""
        self.site.data_dir.mkdir(exist_ok=True)
        self.follower().look()
        log = AuditLog(self.site.data_dir / "audit.jsonl")
        log.verify()
        return {
            (entry["action"], entry.get("who", ""), entry.get("topic", ""))
            for entry in log.entries()
        }


@pytest.fixture
def watched(request, server_folder, secured_program):
    made = Watched(server_folder, mode=getattr(request, "param", "live"))
    made.configure()
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(("watched", "who"), CASES, indirect=["watched"], ids=str)
def test_what_a_role_publishes_is_delivered_where_it_may_and_refused_in_the_log(watched, who):
    mode = watched.site.mode
    may = set(in_mode(mode, (PUBLISH if mode == "live" else EXERCISED)[str(who)]))
    topics = [*in_mode(mode, TOPICS), "$SYS/broker/version"]
    witness, prober = watched.prober(WITNESS), watched.prober(who)
    witness.subscribe(["#", "$SYS/#"])
    for topic in topics:
        prober.publish(topic, str(who).encode())
    witness.fence()
    got = {topic for topic, payload in witness.inbox if payload == str(who).encode()}
    assert got == may
    stopped = [prober.stop(), witness.stop()]
    assert all(stopped)
    denied = {
        topic
        for action, name, topic in watched.refusals()
        if (action, name) == ("broker.denied_publish", str(who))
    }
    assert denied == {*topics} - may


@pytest.mark.parametrize(("watched", "who"), CASES, indirect=["watched"], ids=str)
def test_what_a_role_reads_is_what_it_may_and_asking_for_more_is_in_the_log(watched, who):
    topics, may = (in_mode(watched.site.mode, some) for some in (TOPICS, READ[str(who)]))
    herald, prober = watched.prober(HERALD), watched.prober(who)
    wide = ["#", "$SYS/#", f"{ROOT}/#", "+/north/sensors/+/reports", "$share/g/#"]
    asked = [*in_mode(watched.site.mode, wide), *topics]
    for topic in asked:
        prober.subscribe([topic])
    for topic in topics:
        herald.publish(topic, b"news")
    prober.fence()
    assert {topic for topic, _ in prober.inbox} == set(may)
    stopped = [prober.stop(), herald.stop()]
    assert all(stopped)
    denied = {
        topic
        for action, name, topic in watched.refusals()
        if (action, name) == ("broker.denied_subscribe", str(who))
    }
    assert denied == {*asked, "fence"} - set(may)


def stranger(watched, folder, name="source:gateway-a") -> Tls:
    """A self-signed certificate with a common name of ours."""
    files = str(folder / "stranger.pem"), str(folder / "stranger.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", f"/O=north/OU=source/CN={name}", "-days", "2"),
            *("-out", files[0], "-keyout", files[1]),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "stranger.key").chmod(0o600)
    return Tls(watched.authority.folder.trust, folder / "stranger.pem", folder / "stranger.key")


def other_authority(watched: Secured, folder) -> Tls:
    """The same identity, of a node with the same name and another authority."""
    other = Authority.create(folder / "other", "north")
    other.issue(PEOPLE[2])
    current = other.folder.current(PEOPLE[2])
    return Tls(watched.authority.folder.trust, current / "certificate.pem", current / "key.pem")


def expired(watched: Secured, folder) -> Tls:
    """A certificate that has ended."""
    del folder
    return watched.tls(GONE)


def revoked(watched: Secured, folder) -> Tls:
    """A certificate that was revoked, under an identity that has another."""
    del folder
    who = PEOPLE[2]
    old = watched.authority.folder.current(who).resolve()
    watched.authority.renew(who)
    revoke(watched.authority, who, watched.broker.root, but_newest=True)
    return Tls(watched.authority.folder.trust, old / "certificate.pem", old / "key.pem")


def server(watched: Secured, folder) -> Tls:
    """A certificate that is for a server, not for a client."""
    del folder
    return watched.tls(watched.broker_identity)


def nothing(watched: Secured, folder) -> Tls:
    """No certificate at all."""
    del folder
    return Tls(watched.authority.folder.trust)


@pytest.mark.parametrize("made_by", [stranger, other_authority, expired, revoked, server, nothing])
def test_who_is_not_of_ours_does_not_come_in_and_that_is_in_the_log(watched, tmp_path, made_by):
    tls = made_by(watched, tmp_path)
    one = Prober(watched.settings(PEOPLE[2], tls))
    one.start()
    deadline_s = 60.0
    with one._changed:
        assert one._changed.wait_for(lambda: one.status.failures >= 2, deadline_s)
    assert one.status.epoch == 0
    assert one.stop(10.0)
    assert any(action == "broker.refused_tls" for action, _, _ in watched.refusals())
    # and who is in, still is
    good = watched.prober(PEOPLE[2])
    assert good.publish(OF_A[0], b"x") in {0, 16}
    assert good.stop()


def test_a_broker_of_another_authority_is_not_spoken_to(watched, tmp_path):
    other = Authority.create(tmp_path / "other", "north")
    mine = watched.tls(PEOPLE[2])
    one = Prober(watched.settings(PEOPLE[2], Tls(other.folder.trust, mine.certificate, mine.key)))
    one.start()
    with one._changed:
        assert one._changed.wait_for(lambda: one.status.failures >= 1, 60.0)
    assert "certificate verify failed" in one.status.reason
    assert one.stop()


def test_a_client_id_of_ones_own_choice_takes_over_nobody(watched):
    core = watched.prober(PEOPLE[0])
    thief = Prober(watched.settings(PEOPLE[2], client_id="node:north"))
    thief.connect(60.0)
    assert thief.publish(OF_A[0], b"x") in {0, 16}
    core.fence()
    assert core.status.epoch == 1
    assert core.status.connected
    assert thief.stop()
    assert core.stop()


def test_lines_that_say_nothing_of_a_refusal(watched):
    judge = Judge({})
    assert not judge.refusals(["", "New connection from 127.0.0.1:1 on port 2.", "x: y 1"])
