"""What the site file says of TLS and grants, and what it must not say."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from config import load_site
from ingest.routes import matches
from link.settings import Tls
from model.detections import Mode
from model.errors import ConfigError
from sharing.release import Parties
from sharing.wire import Shared
from tests.identities.secured import PEOPLE, SITE, tls_table
from vedette import intake, partners
from vedette.broker.delivery import fill, topics_of
from vedette.broker.files import write_acl, write_files
from vedette.broker.folder import BrokerFolder
from vedette.broker.grants import contains, covers, grants_of, overlap
from vedette.broker.refusals import follower_of
from vedette.cli import main
from vedette.expiry import ExpiryWatch, expiries, tls_problems, uses
from vedette.local.broker_files import acl_lines
from vedette.pki.authority import Authority, utc_now
from vedette.pki.findings import broker_findings
from vedette.pki.names import Identity, Role
from vedette.publishing import publication_of

VALUES = {
    "mode": "live",
    "port": 8883,
    "dsn": "host=/tmp",
    "core": tls_table("node/north"),
    "publisher": tls_table("publisher/south"),
    "west": tls_table("publisher/west"),
}


def write(folder, change=None, more="", **values):
    text = SITE.format(**{**VALUES, **values}) + more
    path = folder / "site.toml"
    path.write_text(text if change is None else change(text))
    return path


def mistakes(folder, *args, **values) -> list[str]:
    path = write(folder, *args, **values)
    with pytest.raises(ConfigError) as caught:
        grants_of(load_site(path))
    assert main(["check", str(path)]) == 2
    return caught.value.problems


def test_core_and_publisher_show_certificates_of_their_own(tmp_path):
    site = load_site(write(tmp_path))
    core, publisher = intake.settings_of(site), publication_of(site, "south").broker
    current = tmp_path / "pki" / "issued" / "node" / "north" / "current"
    assert core.tls == Tls(
        tmp_path / "pki" / "trust.pem", current / "certificate.pem", current / "key.pem"
    )
    assert core.username is core.password is None
    assert publisher.tls is not None
    assert publisher.tls.certificate != core.tls.certificate


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[broker]", '[broker]\nusername = "core"'), "username and password_file must go"),
        (("[broker]", '[broker]\npassword = "x"'), "broker.password: a secret stands in a file"),
        (("[broker]", '[broker]\ntoken = "x"'), "name that: password_file"),
        ((f"tls = {VALUES['west']}", ""), "partner 'west': tls is missing"),
        (("host=/tmp", "host=/tmp password=hunter2"), "database.dsn: a password stands in it"),
        (("host=/tmp", "postgresql://me:hunter2@db/x"), "passfile=FILE"),
        (("host=/tmp", "postgresql://db/x?password=hunter2"), "passfile=FILE"),
        (('ca = "pki/trust.pem", ', ""), "ca: missing"),
        ((", key =", ", keys ="), "unknown key"),
        (('"gateway-a"', '"gateway a"'), "source[0].id"),
        (("gateway-a", "g" * 60), "may have 57 letters"),
        (("harbour/ais", "vedette/north/commands"), "the node's own"),
        (("harbour/ais", "+/north/sensors/#"), "the node's own"),
        (("harbour/ais", "#"), "the node's own"),
        (("harbour/ais", "$SYS/#"), "the node's own"),
        (('"gateway-b"', '"gateway-b"\ncertificate = "gateway-a"'), "another has the identity"),
    ],
)
def test_what_must_not_be_said(tmp_path, change, said):
    found = mistakes(tmp_path, lambda text: text.replace(*change, 1))
    assert any(said in line for line in found), found
    assert not any("hunter2" in line for line in found)


@pytest.mark.parametrize("dsn", ["host=/tmp passfile=/x", "postgresql://me@db/x", "service=x"])
def test_connection_strings_without_a_password(tmp_path, dsn):
    assert load_site(write(tmp_path, dsn=dsn)).database_dsn == dsn


def test_a_source_may_have_another_name_in_its_certificate(tmp_path):
    site = load_site(
        write(tmp_path, lambda t: t.replace('"gateway-b"', '"gateway-b"\ncertificate = "gw7"'))
    )
    grants = grants_of(site)
    assert Identity(Role.SOURCE, "gateway-b") not in grants
    assert grants[Identity(Role.SOURCE, "gw7")].subscribe == ("vedette/north/receipts/gateway-b",)


def test_a_node_in_an_exercise_grants_nothing_of_live_topics(tmp_path):
    grants = grants_of(load_site(write(tmp_path, mode="exercise")))
    topics = [topic for grant in grants.values() for topic in (*grant.publish, *grant.subscribe)]
    assert all(topic.startswith(("vedette-exercise/north/", "harbour/")) for topic in topics)


def test_a_partner_that_only_gives_has_no_business_at_our_broker(tmp_path):
    more = """
[[partner]]
id = "east"
receive_agreement = "from-east.toml"
broker = { host = "east.example", port = 8883, tls = { ca = "a", certificate = "b", key = "c" } }
"""
    site = load_site(write(tmp_path, more=more))
    assert not [who for who in grants_of(site) if who.name == "east"]
    assert [use.key for use in uses(site)][-2:] == [
        "partner 'east'.broker.tls.ca",
        "partner 'east'.broker.tls.certificate",
    ]


levels = st.sampled_from(["a", "b", "+", ""])
filters = st.lists(levels, min_size=1, max_size=4).flatmap(
    lambda some: st.sampled_from(["/".join(some), "/".join([*some, "#"])])
)
plain = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=4).map("/".join)


@given(one=filters, other=filters, topic=plain)
def test_overlap_and_contains_are_as_topics_say(one, other, topic):
    in_one, in_other = (matches(f.split("/"), topic.split("/")) for f in (one, other))
    if in_one and in_other:
        assert overlap(one, other)
        assert overlap(other, one)
    if contains([one], other) and in_other:
        assert in_one
    assert contains([one], one)
    assert covers([one], fill(one))
    assert overlap(one, fill(one))


def test_every_grant_has_a_topic_that_is_probed(tmp_path):
    site = load_site(write(tmp_path))
    topics = topics_of(site)
    for grant in grants_of(site).values():
        for one in (*grant.publish, *grant.subscribe):
            assert any(covers([one], topic) for topic in topics), one


def test_what_our_own_processes_ask_for_is_granted(tmp_path):
    """Otherwise a core would hear nothing (a SUBACK says yes), and be audited for asking."""
    site = load_site(write(tmp_path))
    grants = grants_of(site)
    core = grants[Identity(Role.NODE, "north")]
    for asked in intake.filters_of(site):
        assert contains(core.subscribe, asked)
    for topic in ("vedette/north/quarantine/radar-1", "vedette/north/receipts/gateway-a"):
        assert covers(core.publish, topic)
    parties = Parties("north", "south", Mode.LIVE)
    publisher = grants[Identity(Role.PUBLISHER, "south")]
    partner = grants[Identity(Role.PARTNER, "south")]
    for lane in ("live", "live.json", "backfill"):
        topic = Shared(parties.mode, parties.giver, parties.receiver, "a1", lane).topic
        assert covers(publisher.publish, topic)
        assert covers(partner.subscribe, topic)
    for answer in ("ack", "control"):
        asked = Shared(parties.mode, parties.giver, parties.receiver, "+", answer).topic
        assert contains(publisher.subscribe, asked)
        assert covers(partner.publish, fill(asked))
    (tmp_path / "south").mkdir()
    south = load_site(
        write(
            tmp_path / "south",
            lambda t: t.replace('name = "north"', 'name = "south"').replace(
                'id = "south"', 'id = "north"'
            ),
        )
    )
    for asked in partners.filters_of(south, "north"):
        assert contains(partner.subscribe, asked)


def test_the_files_of_the_broker(tmp_path, capsys):
    path = write(tmp_path)
    pki = tmp_path / "pki"
    line = ["broker", "config", str(path), "--pki", str(pki), "--out", str(tmp_path / "broker")]
    assert main(line) == 2
    assert "no authority" in capsys.readouterr().err
    authority = Authority.create(pki, "north")
    assert main(line) == 2
    assert "certificate.pem: No such file" in capsys.readouterr().err
    authority.issue(Identity(Role.BROKER, "north"), hosts=["localhost"])
    assert main(line) == 0
    said = capsys.readouterr()
    assert "source:gateway-a: has no certificate yet" in said.err
    folder = BrokerFolder(tmp_path / "broker")
    assert folder.key.stat().st_mode & 0o777 == 0o600
    lines = folder.configuration.read_text().splitlines()
    for must in (
        "allow_anonymous false",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        f"crlfile {folder.crl}",
        "per_listener_settings false",
    ):
        assert must in lines
    assert sum(one.startswith("listener ") for one in lines) == 1
    assert folder.facts().port == 8883


def test_who_is_taken_out_of_the_access_list_leaves_all_others(tmp_path):
    site = load_site(write(tmp_path))
    grants = grants_of(site)
    for gone in grants:
        folder = BrokerFolder(tmp_path / "broker")
        folder.root.mkdir(exist_ok=True)
        write_acl(folder, grants)
        assert folder.take_from_acl(gone)
        left = {who: grant for who, grant in grants.items() if who != gone}
        lines = acl_lines({str(who): grant for who, grant in left.items()}).splitlines()
        kept = [line for line in folder.acl.read_text().splitlines() if line.startswith("user")]
        assert kept == [line for line in lines if line.startswith("user")]
        rules = [line for line in folder.acl.read_text().splitlines() if line.startswith("topic")]
        assert rules == [line for line in lines if line.startswith("topic")]


def test_what_a_broker_was_not_given_is_found(tmp_path, capsys):
    path = write(tmp_path)
    authority = Authority.create(tmp_path / "pki", "north")
    broker, source = Identity(Role.BROKER, "north"), Identity(Role.SOURCE, "gateway-a")
    authority.issue(broker, hosts=["localhost"])
    authority.issue(source)
    folder = BrokerFolder(tmp_path / "broker")
    write_files(folder, load_site(path), tmp_path / "pki", broker)
    authority.issue(Identity(Role.SOURCE, "gateway-b"))
    assert broker_findings(authority, folder.trust, folder.crl) == []
    authority.revoke(source)
    (found,) = broker_findings(authority, folder.trust, folder.crl)
    assert "source:gateway-a" in found
    authority.rotate()
    assert len(broker_findings(authority, folder.trust, folder.crl)) == 2
    line = ["pki", "check", "--pki", str(tmp_path / "pki"), "--broker"]
    assert main([*line, str(folder.root)]) == 1
    assert main([*line, str(tmp_path)]) == 2
    write_files(folder, load_site(path), tmp_path / "pki", broker)
    assert main([*line, str(folder.root)]) == 0
    folder.crl.write_text("nonsense")
    folder.trust.unlink()
    assert "cannot be read" in broker_findings(authority, folder.trust, folder.crl)[0]


def test_an_authority_of_another_node_is_not_taken(tmp_path, capsys):
    Authority.create(tmp_path / "pki", "south")
    line = ["broker", "config", str(write(tmp_path)), "--pki", str(tmp_path / "pki")]
    assert main([*line, "--out", str(tmp_path / "broker")]) == 2
    assert "authority of node 'south'" in capsys.readouterr().err
    assert not (tmp_path / "broker").exists()


def test_what_ends_soon_is_said_in_metrics_status_and_check(tmp_path, capsys):
    site = load_site(write(tmp_path))
    authority = Authority.create(tmp_path / "pki", "north")
    for who in PEOPLE:
        authority.issue(who, days=10 if who.role is Role.NODE else None)
    registry = CollectorRegistry()
    watch = ExpiryWatch(site, registry)
    watch.put()
    text = generate_latest(registry).decode()
    assert 'vedette_certificate_expires_days{use="broker.tls.certificate"} 10.' in text
    assert "vedette_certificate_expires_days{use=\"partner 'south'.tls.certificate\"} 397" in text
    (problem,) = watch.problems()
    assert problem.startswith("broker.tls.certificate: ends in 10 days")
    assert not watch.ended()
    assert json.dumps(watch.rows())
    assert main(["check", str(site.path)]) == 2  # the agreements are not there
    assert "tls" not in capsys.readouterr().err
    later = expiries(site, utc_now() + timedelta(days=11))
    assert [one.key for one in later if one.ended] == ["broker.tls.certificate"]
    (tmp_path / "pki" / "trust.pem").unlink()
    assert len(tls_problems(site)) == 3
    assert sum(one.days is None for one in expiries(site, utc_now())) == 3


def test_revocation_lists_that_a_client_asks_are_watched_too(tmp_path):
    site = load_site(
        write(tmp_path, lambda t: t.replace("tls = { ca", 'tls = { crl = "pki/crl.pem", ca', 1))
    )
    authority = Authority.create(tmp_path / "pki", "north")
    for who in PEOPLE:
        authority.issue(who)
    authority.rotate()
    found = {one.key: one for one in expiries(site, utc_now())}
    assert found["broker.tls.crl"].days == pytest.approx(90, abs=0.1)
    assert not tls_problems(site)
    (tmp_path / "pki" / "crl.pem").write_text("")
    assert "no revocation list" in expiries(site, utc_now())[2].problem
    assert "broker.tls: " in tls_problems(site)[0]


def test_only_a_log_that_is_named_is_followed(tmp_path):
    assert follower_of(load_site(write(tmp_path))) is not None
    without = write(tmp_path, lambda text: text.replace("log_file", "# log_file"))
    assert follower_of(load_site(without)) is None
    assert main(["audit", "follow", str(without)]) == 2
