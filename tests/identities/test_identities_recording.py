"""Recorders and players with certificates: what is recorded, what plays, and what does not."""

import json
import sys
from contextlib import contextmanager

import pytest

from config import load_site
from exercise.recording import Captured, Header, RecordingWriter, read_recording
from link.client import Subscriber
from link.settings import Tls
from tests.identities.secured import Secured
from tests.node.site import until
from vedette.audit import AuditLog
from vedette.broker.refusals import follower_of
from vedette.cli import main
from vedette.credentials import settings_for
from vedette.exercising import main as exercise
from vedette.local.places import LOOPBACK
from vedette.local.process import Child
from vedette.pki.names import Identity, Role

pytestmark = pytest.mark.broker

NODE, SOURCE = Identity(Role.NODE, "north"), Identity(Role.SOURCE, "gateway-a")
AIS = Identity(Role.SOURCE, "gateway-b")
RECORDER, PLAYER = Identity(Role.RECORDER, "north"), Identity(Role.PLAYER, "north")

RADAR, RADAR_STATUS = (f"vedette/north/sensors/radar-1/{leaf}" for leaf in ("raw", "status"))
PLAYED = "vedette-exercise/north/sensors/+/raw"

EXERCISE = pytest.mark.parametrize("secured", [{"mode": "exercise"}], indirect=True)


@contextmanager
def recording(secured: Secured, name: str, *more: str):
    """`vedette record` that has begun; gives the process, its file and what it says."""
    path, log = secured.folder / name, secured.folder / f"{name}.log"
    where = ["--site", str(secured.site_path), *secured.options(RECORDER)]
    command = [sys.executable, "-m", "vedette", "record", str(path), *where, *more]
    child = Child.program("record", command, log=log)
    try:
        until(lambda: "recording" in log.read_text(), what=log.read_text)
        yield child, path, log.read_text
    finally:
        child.terminate()


def recorded(path) -> list[tuple[str, bytes]]:
    return [(one.topic, one.payload) for one in read_recording(path)[1]]


def refused(secured: Secured) -> set[tuple[str, str, str]]:
    """(action, who, topic) of everything that the broker has refused."""
    secured.site.data_dir.mkdir(exist_ok=True)
    follower = follower_of(secured.site)
    assert follower is not None
    follower.look()
    log = AuditLog(secured.site.data_dir / "audit.jsonl")
    if not log.path.exists():
        return set()
    return {(one["action"], one.get("who", ""), one.get("topic", "")) for one in log.entries()}


def a_recording(folder):
    """Two messages of the live node's radar."""
    path = folder / "night.vrec"
    with RecordingWriter(path, Header(1)) as writer:
        writer.write([Captured(5, RADAR, data) for data in (b"one", b"\x00\xff")])
    return path


def test_a_recorder_keeps_what_sources_say_and_nothing_is_left_of_its_session(secured):
    source, ais = secured.prober(SOURCE), secured.prober(AIS)
    with recording(secured, "a.vrec") as (child, path, said):
        source.publish(RADAR, b"one")
        source.publish(RADAR_STATUS, b"is no data")
        ais.publish("harbour/ais", b"two")
        until(lambda: len(recorded(path)) == 2, what=said)
        assert child.terminate() == 0, said()
    assert recorded(path) == [(RADAR, b"one"), ("harbour/ais", b"two")]
    assert source.publish(RADAR, b"later") == 16  # nobody has subscribed: no session is there
    stopped = [source.stop(), ais.stop()]
    assert all(stopped)
    assert refused(secured) == set()


def test_what_a_killed_recorder_left_behind_is_not_in_the_next_recording(secured):
    killed = Subscriber(secured.settings(RECORDER), ["harbour/ais", RADAR], lambda _: None)
    killed.start()
    assert killed.wait_subscribed(60.0)
    assert killed.stop()  # its session stays
    source, ais = secured.prober(SOURCE), secured.prober(AIS)
    assert source.publish(RADAR, b"before") == 0
    with recording(secured, "b.vrec", "--sensor", "radar-1") as (_, path, said):
        ais.publish("harbour/ais", b"not asked for any more")
        source.publish(RADAR, b"now")
        until(lambda: recorded(path), what=said)
        assert recorded(path) == [(RADAR, b"now")]
    stopped = [source.stop(), ais.stop()]
    assert all(stopped)


def test_a_second_recording_ends_the_first_which_says_so(secured):
    with (
        recording(secured, "first.vrec") as (first, _, said_first),
        recording(secured, "second.vrec") as (second, path, said),
    ):
        until(lambda: first.poll() is not None, what=said_first)
        assert first.poll() == 1
        assert "does another show this certificate?" in said_first()
        source = secured.prober(SOURCE)
        source.publish(RADAR, b"one")
        until(lambda: recorded(path), what=said)  # the first has not ended the second's session
        assert second.terminate() == 0, said()
    assert source.stop()


@EXERCISE
def test_a_player_plays_a_recording_into_an_exercise_and_the_node_hears_it(secured, capsys):
    core = secured.prober(NODE)
    core.subscribe([PLAYED])
    path = a_recording(secured.folder)
    where = ["--site", str(secured.site_path), *secured.options(PLAYER)]
    assert main(["replay", str(path), *where]) == 0
    assert "2 of 2 messages acknowledged" in capsys.readouterr().err
    core.fence()
    heard = "vedette-exercise/north/sensors/radar-1/raw"
    assert list(core.inbox) == [(heard, b"one"), (heard, b"\x00\xff")]
    assert core.stop()
    assert {who for _, who, _ in refused(secured)} == {str(NODE)}  # its fence, and nothing else


@pytest.mark.parametrize(
    ("secured", "who"),
    [({"mode": "live"}, PLAYER), ({"mode": "exercise"}, RECORDER)],
    indirect=["secured"],
    ids=["a player, live", "a recorder"],
)
def test_who_may_play_nothing_gets_nothing_through(secured, who, capsys):
    core = secured.prober(NODE)
    core.subscribe([f"{secured.site.topic_root}/sensors/+/raw", PLAYED])
    path = a_recording(secured.folder)
    where = ["--broker", f"{LOOPBACK}:{secured.port}", "--node", "north", *secured.options(who)]
    assert main(["replay", str(path), *where]) == 1
    assert "2 refused by the broker" in capsys.readouterr().err
    core.fence()
    assert list(core.inbox) == []
    assert core.stop()
    topic = "vedette-exercise/north/sensors/radar-1/raw"
    assert ("broker.denied_publish", str(who), topic) in refused(secured)


@EXERCISE
def test_a_scenario_plays_with_a_players_certificate(secured):
    core = secured.prober(NODE)
    core.subscribe([f"{secured.site.topic_root}/sensors/+/reports"])
    log = secured.folder / "player.log"
    arguments = [str(secured.site_path), *secured.options(PLAYER)]
    with Child.python("player", "vedette.exercising", arguments, log=log) as player:
        until(lambda: len(core.inbox) >= 10, 60.0, player.log_tail)
        assert player.terminate() == 0, player.log_tail()
    said = json.loads(log.read_text().splitlines()[-1])
    assert said["refused"] == 0
    assert said["stored"] >= 10
    assert core.stop()


RECORD = ("record", "new.vrec")
REPLAY = ("replay", "night.vrec")
PLAY = ("play",)
GATEWAY = ("gateway", "--sensor", "radar-1")
EVERY = (RECORD, REPLAY, PLAY, GATEWAY)


@pytest.fixture
def quiet(tmp_path):
    """An authority and a site file without a broker, which no mistake may need."""

    def make(mode="exercise") -> Secured:
        made = Secured(tmp_path, mode=mode)
        a_recording(tmp_path)
        return made

    return make


def told(made: Secured, command, options, capsys) -> str:
    """What a command that does not begin says, in one line."""
    name, *rest = command
    files = [str(made.folder / one) if one.endswith(".vrec") else one for one in rest]
    site = str(made.site_path)
    if name == "play":
        status = exercise([site, *options])
    else:
        status = main([name, *files, "--site", site, *options])
    assert status == 2
    assert not (made.folder / "new.vrec").exists()
    (line,) = capsys.readouterr().err.splitlines()
    return str(line)


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
def test_mistakes_in_certificates_are_a_line_each(quiet, command, capsys):
    made = quiet()
    ca, certificate, key = (made.options(PLAYER)[at : at + 2] for at in (0, 2, 4))
    for options, said in (
        ([], f"--ca: is missing, as the broker of {made.site_path} speaks TLS"),
        (ca, "--certificate: is missing, as the broker of"),
        ([*certificate, *key], "--ca: is missing (--certificate and --key go with it)"),
        ([*ca, *certificate], "--certificate and --key belong together"),
        (["--ca", "nowhere.pem"], "nowhere.pem: no authorities: No such file"),
        ([*ca, "--certificate", ca[1], *key], "no certificate with its key"),
        (made.options(NODE), "node:north is a process of the node, which would be pushed out"),
    ):
        assert said in told(made, command, options, capsys)


def test_a_certificate_that_is_granted_nothing_is_told_before_anything_is_sent(quiet, capsys):
    made = quiet()
    said = told(made, REPLAY, made.options(RECORDER), capsys)
    assert said.endswith("(mode 'exercise') lets recorder:north publish nothing")
    said = told(made, (*RECORD, "--topic", "harbour/#"), made.options(RECORDER), capsys)
    assert said.endswith("does not let recorder:north read harbour/#")
    said = told(made, (*RECORD, "--topic", "harbour/ais"), made.options(SOURCE), capsys)
    assert said.endswith("does not let source:gateway-a read harbour/ais")


def test_nobody_plays_a_scenario_into_a_live_node(quiet, capsys):
    made = quiet("live")
    said = told(made, PLAY, made.options(PLAYER), capsys)
    assert said.endswith("(mode 'live') lets player:north publish nothing")


@pytest.mark.parametrize(
    ("command", "option"),
    [(PLAY, "--username"), (PLAY, "--password-file"), (("gateway",), "--username")],
)
def test_a_user_name_beside_a_certificate_must_go(quiet, command, option, capsys):
    made = quiet()
    options = [*made.options(PLAYER), option, str(made.site_path)]
    if command == PLAY:
        said = told(made, PLAY, options, capsys)
    else:
        where = ["--broker", f"{LOOPBACK}:1", "--node", "n", "--sensor", "s"]
        assert main(["gateway", *where, *options]) == 2
        said = capsys.readouterr().err.strip()
    assert said == f"{option}: must go, as the certificate says who we are"


def test_no_password_goes_to_a_broker_that_is_shown_a_certificate(quiet):
    made = quiet()
    text = made.site_path.read_text()
    (made.folder / "secret").write_text("hunter2")
    named = 'username = "core"\npassword_file = "secret"'
    made.site_path.write_text("\n".join(
        named if line.startswith("tls = ") and "node/north" in line else line
        for line in text.splitlines()
    ))  # fmt: skip
    site = load_site(made.site_path)
    tls = made.tls(PLAYER)
    shown = settings_for(site, "x", tls)
    assert (shown.username, shown.password, shown.tls) == (None, None, tls)
    for nobody in (None, Tls(tls.ca)):  # nothing else says who we are
        hidden = settings_for(site, "x", nobody)
        assert (hidden.username, hidden.password, hidden.tls) == ("core", "hunter2", nobody)
