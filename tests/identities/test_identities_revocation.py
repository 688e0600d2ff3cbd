"""A revocation ends sessions that are held open, and disturbs nobody else."""

import contextlib
import socket
import ssl
import time

import pytest

from link.connection import PATIENCE
from link.prober import Prober
from link.settings import Tls
from tests.identities.secured import PEOPLE
from vedette.audit import AuditLog
from vedette.broker.handshake import Outcome, connect, connect_packet
from vedette.broker.revocation import CANARY, reload_broker, revoke
from vedette.cli import main
from vedette.pki.names import PkiError

pytestmark = pytest.mark.broker

NODE, A, B = PEOPLE[0], PEOPLE[2], PEOPLE[3]
REPORTS = "vedette/north/sensors/radar-1/reports"

GENEROUS_S = 10.0
"""Far above what it takes (see docs/identities.md), so that no busy machine is called wrong."""


def test_a_session_held_open_ends_and_nobody_elses(secured, record_property):
    held, core, other = secured.prober(A), secured.prober(NODE), secured.prober(B)
    core.subscribe([REPORTS])
    held.publish(REPORTS, b"before")
    began = time.monotonic()
    done = revoke(secured.authority, A, secured.broker.root, reason="key-compromise")
    assert held.wait_ended(GENEROUS_S)
    record_property("revocation_s", time.monotonic() - began)
    assert done.in_force_s <= done.ended_s < GENEROUS_S
    print(f"in force after {done.in_force_s:.3f} s, ended after {done.ended_s:.3f} s")
    with held._changed:  # it tries again and again, and never comes in
        assert held._changed.wait_for(lambda: held.status.failures >= 2, 60.0)
    assert held.status.epoch == 1
    core.fence()
    other.fence()
    assert core.status.epoch == other.status.epoch == 1
    assert [payload for _, payload in core.inbox] == [b"before"]
    for one in (held, core, other):
        assert one.stop(10.0)
    actions = [entry["action"] for entry in AuditLog(secured.authority.folder.audit).entries()]
    assert actions[-2:] == ["pki.revoke", "broker.session_ended"]


def test_without_the_take_over_a_session_would_go_on(secured):
    """Why `revoke` does more than reload: Mosquitto asks its lists at handshakes alone."""
    held = secured.prober(A)
    canary = secured.authority.momentary(CANARY)
    secured.authority.revoke(A, also=canary)
    secured.broker.put_crl(secured.authority.folder.crl.read_bytes())
    reload_broker(secured.broker.facts())
    while connect("127.0.0.1", secured.port, secured.broker.trust, canary) is Outcome.TAKEN:
        time.sleep(0.01)
    assert held.publish(REPORTS, b"x") in {0, 16}
    assert held.status.epoch == 1
    assert held.stop()


def test_a_reloaded_access_list_refuses_a_session_at_once(secured):
    held = secured.prober(A)
    canary = secured.authority.momentary(CANARY)
    assert secured.broker.take_from_acl(A)
    assert not secured.broker.take_from_acl(A)
    secured.authority.revoke(B, also=canary)
    secured.broker.put_crl(secured.authority.folder.crl.read_bytes())
    reload_broker(secured.broker.facts())
    while connect("127.0.0.1", secured.port, secured.broker.trust, canary) is Outcome.TAKEN:
        time.sleep(0.01)
    assert held.publish(REPORTS, b"x") == 0x87  # not authorized
    assert held.stop()


def test_an_old_certificate_goes_and_the_renewed_one_keeps_the_session(secured):
    old = secured.tls(A)
    old = type(old)(old.ca, old.certificate.resolve(), old.key.resolve())
    held = secured.prober(A, old)
    secured.authority.renew(A)
    revoke(secured.authority, A, secured.broker.root, but_newest=True)
    assert held.wait_ended(GENEROUS_S)
    renewed = secured.prober(A)
    assert renewed.publish(REPORTS, b"x") in {0, 16}  # its grants are still there
    assert renewed.stop()
    assert held.stop(10.0)


def test_who_is_refused_is_told_why_all_the_time_and_comes_back_as_it_was(secured):
    """The broker's alert comes after a client of TLS 1.3 has shaken hands."""
    said, versions = [], set()

    class Held(Prober):
        def _set_status(self, **changes):
            super()._set_status(**changes)
            said.append(self.status)
            versions.add(self._version)

    held = Held(secured.settings(A, protocol="auto"))
    held.connect()
    revoke(secured.authority, A, secured.broker.root)
    wanted = "broker refuses: certificate revoked"
    with held._changed:
        assert held._changed.wait_for(lambda: held.status.reason == wanted, 60.0)
        since = len(said)
        # More failures than after which a version of the protocol is doubted.
        assert held._changed.wait_for(lambda: held.status.failures > PATIENCE + 1, 60.0)
        assert {one.reason for one in said[since:]} == {wanted}
    secured.authority.renew(A)
    with held._changed:
        assert held._changed.wait_for(lambda: held.status.connected, 60.0)
    assert (held.status.protocol, held.status.reason) == ("5", "")
    assert len(versions) == 1
    assert held.stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_does_not_get_round_the_lists(secured, version):
    tls = secured.tls(A)
    context = tls.context()
    context.maximum_version = version
    packet = connect_packet("x", clean=True)

    def opened(session=None):
        with (
            socket.create_connection(("127.0.0.1", secured.port), timeout=10.0) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secure,
        ):
            secure.sendall(packet)
            answer = secure.recv(4)
            return answer, secure.session, secure.session_reused

    answer, ticket, _ = opened()
    assert answer == b"\x20\x02\x00\x00"
    revoke(secured.authority, A, secured.broker.root)
    with pytest.raises(OSError, match=r"(?i)revoked|eof|reset"):
        opened(ticket)


def test_who_shook_hands_before_and_speaks_after_gets_nothing(secured):
    """TLS was opened in time, CONNECT comes too late: the access list is what stops it."""
    core = secured.prober(NODE)
    core.subscribe([REPORTS])
    with (
        socket.create_connection(("127.0.0.1", secured.port), timeout=10.0) as plain,
        secured.tls(A).context().wrap_socket(plain, server_hostname="127.0.0.1") as late,
    ):
        revoke(secured.authority, A, secured.broker.root)
        topic = REPORTS.encode()
        late.sendall(connect_packet("x", clean=True))
        assert late.recv(4)[:1] == b"\x20"
        # PUBLISH at QoS 0 (MQTT 3.1.1, 3.3), then PINGREQ, whose answer comes behind it.
        late.sendall(b"\x30" + bytes([2 + len(topic) + 1, 0, len(topic)]) + topic + b"x")
        late.sendall(b"\xc0\x00")
        assert late.recv(2) == b"\xd0\x00"
    core.fence()
    assert not core.inbox
    assert core.stop()


def test_where_another_certificate_holds_settling_ends_who_spoke_late(secured):
    old = secured.tls(A)
    context = type(old)(old.ca, old.certificate.resolve(), old.key.resolve()).context()
    secured.authority.renew(A)
    waited = []
    with (
        socket.create_connection(("127.0.0.1", secured.port), timeout=10.0) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as late,
    ):

        def settle(seconds):
            waited.append(seconds)
            late.sendall(connect_packet("x", clean=True))
            assert late.recv(4)[:1] == b"\x20"  # it is in

        revoke(secured.authority, A, secured.broker.root, but_newest=True, settle=settle)
        with contextlib.suppress(ssl.SSLEOFError, ConnectionError):  # however it was closed
            assert late.recv(4) == b""
    assert waited == [100.0]


def test_a_broker_that_does_not_run_is_said_and_the_certificate_is_revoked(secured):
    secured.stop()
    with pytest.raises(PkiError, match=r"revoked.*restart it"):
        revoke(secured.authority, A, secured.broker.root)
    assert not any(one.holds(secured.authority.now) for one in secured.authority.index.of(A))


def test_after_a_rotation_the_broker_need_not_know_the_new_authority(secured):
    held = secured.prober(A)
    secured.authority.rotate()
    secured.authority.renew(A)
    revoke(secured.authority, A, secured.broker.root)
    assert held.wait_ended(GENEROUS_S)
    assert held.stop(10.0)


def test_the_command_says_how_long_it_took(secured, capsys):
    root = str(secured.folder / "pki")
    line = ["pki", "revoke", "--pki", root, "--kind", "source", "gateway-a"]
    assert main([*line, "--broker", str(secured.broker.root)]) == 0
    assert "sessions ended after" in capsys.readouterr().out
    assert main(line) == 2
    assert "no such certificate" in capsys.readouterr().err


def test_a_rotation_needs_no_moment_in_which_anybody_is_shut_out(secured):
    old = secured.tls(A)
    old = type(old)(old.ca, old.certificate.resolve(), old.key.resolve())
    secured.authority.rotate()
    secured.authority.renew(A)
    secured.authority.renew(secured.broker_identity)
    secured.configure()
    secured.restart()
    for tls in (old, secured.tls(A)):  # both authorities are believed, on both sides
        one = secured.prober(A, tls)
        assert one.publish(REPORTS, b"x") in {0, 16}
        assert one.stop()
    secured.authority.renew(NODE)
    secured.authority.retire(1)
    secured.configure()
    secured.restart()
    gone = Prober(secured.settings(A, old))
    gone.start()
    with gone._changed:
        assert gone._changed.wait_for(lambda: gone.status.failures >= 1, 60.0)
    assert gone.stop(10.0)
    for who in (A, NODE):
        one = secured.prober(who)
        assert one.stop()


def test_a_broker_whose_own_certificate_is_revoked_is_not_spoken_to(secured):
    tls = secured.tls(A)
    tls = Tls(tls.ca, tls.certificate, tls.key, secured.authority.folder.crl)
    one = secured.prober(A, tls)
    assert one.stop()
    secured.authority.revoke(secured.broker_identity)
    two = Prober(secured.settings(A, tls))
    two.start()
    with two._changed:
        assert two._changed.wait_for(lambda: two.status.failures >= 1, 60.0)
    assert "revoked" in two.status.reason
    assert two.stop(10.0)
