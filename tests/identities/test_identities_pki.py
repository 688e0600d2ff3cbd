"""The authority: what it signs is what was asked for, and it forgets nothing."""

import contextlib
import json
import os
import subprocess
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from link.settings import Tls
from model.errors import LinkError
from vedette.audit import AuditLog
from vedette.cli import main
from vedette.pki.authority import Authority, utc_now
from vedette.pki.findings import findings
from vedette.pki.folder import read_certificate
from vedette.pki.index import Index, State
from vedette.pki.names import ISSUABLE, LIFETIME_DAYS, SERVERS, Identity, PkiError, Role

A = Identity(Role.SOURCE, "gateway-a")
BROKER = Identity(Role.BROKER, "north")


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "pki", "north")


def pki(folder, *line) -> int:
    return main(["pki", line[0], "--pki", str(folder), *line[1:]])


@given(st.text())
def test_any_text_is_an_identity_or_none_and_there_is_one_way_to_write_each(text):
    try:
        identity = Identity.parse(text)
    except PkiError:
        return
    assert str(identity) == text


@given(st.sampled_from(ISSUABLE), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}", fullmatch=True))
def test_no_two_roles_have_a_name_in_common(role, name):
    texts = {str(Identity(other, name)) for other in ISSUABLE}
    assert len(texts) == len(ISSUABLE)
    assert Identity.parse(f"{role}:{name}") == Identity(role, name)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "+", "#", "é", ".a", "a\n", "x" * 60])
def test_names_that_are_none(name):
    with pytest.raises(PkiError):
        Identity(Role.SOURCE, name)


@pytest.mark.parametrize("role", ISSUABLE)
def test_a_certificate_says_who_and_what_for(authority, role):
    who = Identity(role, "north")
    hosts = ["broker.example", "127.0.0.1"] if role in SERVERS else []
    issued = authority.issue(who, hosts=hosts)
    made = read_certificate(authority.folder.current(who) / "certificate.pem")
    assert made.serial_number == issued.serial > 1 << 64
    assert [part.value for part in made.subject] == ["north", role, f"{role}:north"]
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    assert list(usage.value) == [server if role in SERVERS else client]
    assert usage.critical
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert not basic.value.ca
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"urn:vedette:north:{role}:north"
    ]
    assert names.get_values_for_type(x509.DNSName) == hosts[:1]
    holds = made.not_valid_after_utc - authority.now
    assert holds == pytest.approx(timedelta(days=LIFETIME_DAYS[role]), abs=timedelta(minutes=5))


def test_openssl_agrees(authority):
    for who, purpose in ((A, "sslclient"), (BROKER, "sslserver")):
        authority.issue(who, hosts=["localhost"] if who == BROKER else [])
        current = str(authority.folder.current(who) / "certificate.pem")
        base = ["openssl", "verify", "-x509_strict", "-crl_check"]
        base += ["-CAfile", str(authority.folder.trust), "-CRLfile", str(authority.folder.crl)]
        right = subprocess.run([*base, "-purpose", purpose, current], capture_output=True)
        assert right.returncode == 0, right.stderr
        other = "sslserver" if purpose == "sslclient" else "sslclient"
        assert subprocess.run([*base, "-purpose", other, current], capture_output=True).returncode
    authority.revoke(A)
    current = str(authority.folder.current(A) / "certificate.pem")
    gone = subprocess.run([*base, current], capture_output=True, text=True)
    assert "certificate revoked" in gone.stderr


def test_secrets_are_closed_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        authority = Authority.create(tmp_path / "pki", "north")
        authority.issue(A)
    finally:
        os.umask(before)
    for path in (authority.folder.ca(1, "key"), authority.folder.current(A) / "key.pem"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert authority.folder.root.stat().st_mode & 0o777 == 0o700
    assert not findings(authority)
    authority.folder.ca(1, "key").chmod(0o640)
    assert "others may read it" in findings(authority)[0]
    with pytest.raises(PkiError, match="others may read it"):
        authority.renew(A)


def test_a_renewal_has_a_new_key_and_the_old_certificate_holds(authority):
    first = authority.issue(A)
    key = (authority.folder.current(A) / "key.pem").read_bytes()
    second = authority.renew(A)
    assert (authority.folder.current(A) / "key.pem").read_bytes() != key
    states = [one.state(authority.now) for one in authority.index.of(A)]
    assert states == [State.VALID, State.VALID]
    revoked = authority.revoke(A, but_newest=True)
    assert [one.serial for one in revoked] == [first.serial]
    assert [one.serial for one in authority.index.of(A) if one.holds(authority.now)] == [
        second.serial
    ]
    listed = x509.load_pem_x509_crl(authority.folder.crl.read_bytes())
    assert [one.serial_number for one in listed] == [first.serial]


def test_each_list_is_later_than_the_last_in_whole_seconds(authority):
    """Of two lists of one second OpenSSL would keep the older one."""
    times, numbers = [], []
    for _ in range(5):
        authority.renew_lists()
        listed = x509.load_pem_x509_crl(authority.folder.crl.read_bytes())
        times.append(listed.last_update_utc)
        number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        numbers.append(number)
    assert times == sorted(set(times))
    assert all(time < authority.now for time in times)
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_a_clock_that_went_back_signs_no_list_of_the_future(tmp_path):
    authority = Authority.create(tmp_path / "pki", "north")
    back = Authority.open(tmp_path / "pki", clock=lambda: utc_now() - timedelta(days=2))
    with pytest.raises(PkiError, match="clock is wrong"):
        back.renew_lists()
    authority.renew_lists()


def test_a_holder_keeps_its_key_and_sends_a_request(authority, tmp_path):
    key = str(tmp_path / "key.pem")
    line = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    line += ["-nodes", "-keyout", key, "-out", str(tmp_path / "csr"), "-subj", "/CN=node:north"]
    subprocess.run(line, check=True, capture_output=True)
    request = (tmp_path / "csr").read_bytes()
    authority.issue(A, request=request)
    folder = authority.folder.current(A)
    made = read_certificate(folder / "certificate.pem")
    assert made.subject.rfc4514_string().startswith("CN=source:gateway-a")  # not what it asked for
    assert not (folder / "key.pem").exists()
    with pytest.raises(PkiError, match="new request"):
        authority.renew(A)
    authority.renew(A, request=request)
    with pytest.raises(PkiError, match="certification request"):
        authority.renew(A, request=b"x")


def test_a_request_with_another_kind_of_key_is_refused(authority, tmp_path):
    key = ec.generate_private_key(ec.SECP384R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(PkiError, match="not P-256"):
        authority.issue(A, request=request)


def test_a_rotation_holds_both_authorities_until_the_old_one_is_retired(authority):
    authority.issue(A)
    assert authority.rotate() == 2
    assert authority.folder.trust.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert authority.folder.crl.read_bytes().count(b"BEGIN X509 CRL") == 2
    assert authority.renew(A).generation == 2
    with pytest.raises(PkiError, match="it signs"):
        authority.retire(2)
    authority.retire(1)
    with pytest.raises(PkiError, match="none that is believed"):
        authority.retire(1)
    assert authority.folder.trust.read_bytes().count(b"BEGIN CERTIFICATE") == 1
    assert not findings(authority)


def test_a_certificate_of_a_retired_authority_is_found(authority):
    authority.issue(A)
    authority.rotate()
    authority.retire(1)
    assert findings(authority) == ["source:gateway-a: its authority 1 is retired: renew it"]


def test_what_ends_soon_is_found(tmp_path):
    authority = Authority.create(tmp_path / "pki", "north")
    authority.issue(A, days=13)
    authority.issue(BROKER, hosts=["localhost"])
    (found,) = findings(authority)
    assert found.startswith("source:gateway-a: ends ")
    assert found.endswith("vedette pki renew --kind source gateway-a")
    later = Authority.open(tmp_path / "pki", clock=lambda: utc_now() + timedelta(days=100))
    assert any("refuses everybody: vedette pki crl" in one for one in findings(later))
    assert pki(tmp_path / "pki", "check") == 1


def test_a_line_of_the_index_that_was_never_whole_is_forgotten(authority):
    authority.issue(A)
    with authority.folder.index.open("ab") as file:
        file.write(b'{"event": "iss')
    again = Authority.open(authority.folder.root)
    again.renew(A)
    assert len(Index(authority.folder.index).of(A)) == 2


@given(content=st.binary(max_size=200))
def test_any_bytes_are_an_index_or_a_mistake(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("index") / "index.jsonl"
    path.write_bytes(content)
    with contextlib.suppress(PkiError):
        Index(path)


def test_the_commands_from_init_to_check(tmp_path, capsys):
    folder = tmp_path / "pki"
    assert pki(folder, "init", "north") == 0
    assert pki(folder, "issue", "--kind", "source", "gateway-a", "--days", "100") == 0
    assert pki(folder, "renew", "--kind", "source", "gateway-a") == 0
    assert pki(folder, "revoke", "--kind", "source", "gateway-a", "--but-newest") == 0
    assert pki(folder, "rotate-ca") == 0
    assert pki(folder, "renew", "--kind", "source", "gateway-a") == 0
    assert pki(folder, "retire-ca", "1") == 0
    assert pki(folder, "crl") == 0
    assert pki(folder, "check") == 0
    capsys.readouterr()
    assert pki(folder, "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["authority"], row["state"]) for row in rows] == [
        (1, "revoked"), (1, "valid"), (2, "valid")
    ]  # fmt: skip
    log = AuditLog(folder / "audit.jsonl")
    log.verify()
    assert [entry["action"] for entry in log.entries()] == [
        "pki.authority", "pki.issue", "pki.renew", "pki.revoke", "pki.authority", "pki.renew",
        "pki.retire", "pki.crl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["init", "north"], "already"),
        (["issue", "--kind", "source", "a b"], "letters, digits"),
        (["issue", "--kind", "broker", "north"], "--san HOST is missing"),
        (["issue", "--kind", "broker", "north", "--san", "a_b"], "neither a name"),
        (["issue", "--kind", "source", "a", "--san", "x"], "--san is for"),
        (["issue", "--kind", "source", "a", "--days", "999"], "1 to 730 days"),
        (["issue", "--kind", "source", "a", "--csr", "/none"], "/none"),
        (["renew", "--kind", "source", "a"], "has no certificate"),
        (["revoke", "--kind", "source", "a"], "no such certificate"),
        (["revoke", "--kind", "source", "a", "--serial", "z"], "no hexadecimal"),
        (["retire-ca", "7"], "none that is believed"),
        (["list", "--passphrase-file", "/none", "--pki", "/none"], "no authority"),
        (["crl", "--passphrase-file", "/none"], "/none"),
    ],
)
def test_mistakes_are_one_line_and_status_2(authority, capsys, line, said):
    assert pki(authority.folder.root, *line) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert pki(tmp_path / "file" / "pki", "init", "north") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_passphrase_comes_from_a_closed_file_alone(tmp_path, capsys):
    word = tmp_path / "word"
    word.write_text("open sesame\n")
    folder = tmp_path / "pki"
    assert pki(folder, "init", "north", "--passphrase-file", str(word)) == 2
    assert "chmod 600" in capsys.readouterr().err
    word.chmod(0o600)
    assert pki(folder, "init", "north", "--passphrase-file", str(word)) == 0
    assert b"ENCRYPTED" in (folder / "ca" / "1.key").read_bytes()
    assert pki(folder, "issue", "--kind", "source", "a") == 2
    assert "asks for its passphrase" in capsys.readouterr().err
    assert pki(folder, "issue", "--kind", "source", "a", "--passphrase-file", str(word)) == 0
    assert pki(folder, "list") == 0  # which needs no key


def test_a_client_looks_at_its_files(authority, tmp_path):
    authority.issue(A)
    current = authority.folder.current(A)
    trust, certificate, key = (
        authority.folder.trust,
        current / "certificate.pem",
        current / "key.pem",
    )
    Tls(trust, certificate, key).context()
    with pytest.raises(LinkError, match="no authorities"):
        Tls(tmp_path / "none", certificate, key).context()
    with pytest.raises(LinkError, match="no certificate with its key"):
        Tls(trust, certificate, tmp_path / "none").context()
    authority.issue(Identity(Role.SOURCE, "b"))
    other = authority.folder.current(Identity(Role.SOURCE, "b")) / "key.pem"
    with pytest.raises(LinkError, match="no certificate with its key"):
        Tls(trust, certificate, other).context()
    key.chmod(0o644)
    with pytest.raises(LinkError, match="others may read it"):
        Tls(trust, certificate, key).context()
