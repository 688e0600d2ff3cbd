"""``[[partner]]`` and ``[[line]]``: what is right, what is wrong, and what the journal keeps."""

import json

import pytest

from config import engine_config, load_site
from config.engine import with_agreements
from model.errors import ConfigError
from tests.sharing.samples import text
from vedette.cli import main
from vedette.partners import partner_problems, settings_of

SITE = """
[node]
name = "south"
data_dir = "data"
[database]
dsn = "host=/tmp"
[[sensor]]
id = "radar"
[[line]]
name = "frontier"
points = [[59.0, 27.0], [59.5, 28.0]]
"""

PARTNER = """
[[partner]]
id = "north"
agreement = "to-north.toml"
username = "south-to-north"
password_file = "ours"
receive_agreement = "from-north.toml"
broker = { host = "north.example", port = 8883, username = "south", password_file = "theirs" }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site.toml").write_text(SITE + PARTNER)
    (tmp_path / "from-north.toml").write_text(text())
    (tmp_path / "to-north.toml").write_text(text(giver="south", receiver="north"))
    (tmp_path / "ours").write_text("secret-1\n")
    (tmp_path / "theirs").write_text("secret-2\n")
    return tmp_path


def test_the_journal_keeps_the_text_of_what_we_are_given(folder) -> None:
    site = load_site(folder / "site.toml")
    config = engine_config(site.engine_payload())
    assert config.agreements["north"].text == text()


def test_a_node_without_partners_keeps_its_payload(folder) -> None:
    (folder / "site.toml").write_text(SITE)
    site = load_site(folder / "site.toml")
    assert site.engine_payload() == site.payload
    assert engine_config(site.payload).agreements == {}
    assert with_agreements(with_agreements(site.payload, {"x": "y"}), {}) == site.payload


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "agreement: missing"),
        (text(giver="west"), "'west', and not 'north'"),
        (text(receiver="east"), "'east', and not 'south'"),
        (text(mode="exercise"), "'exercise', and this node"),
        (None, "No such file"),
    ],
)
def test_an_agreement_that_is_none_leaves_the_node_working(folder, content, words) -> None:
    path = folder / "from-north.toml"
    path.unlink() if content is None else path.write_text(content)
    site = load_site(folder / "site.toml")
    assert engine_config(site.engine_payload()).agreements == {}
    (problem,) = [one for one in partner_problems(site) if words in one]
    assert "from-north.toml" in problem


def test_secrets_are_read_from_files_and_never_journaled(folder) -> None:
    site = load_site(folder / "site.toml")
    settings = settings_of(site, site.partner("north"))
    assert (settings.host, settings.port) == ("north.example", 8883)
    assert (settings.username, settings.password) == ("south", "secret-2")
    assert b"secret" not in site.engine_payload()
    (folder / "theirs").unlink()
    with pytest.raises(ConfigError, match=r"partner 'north'\.broker\.password_file"):
        settings_of(site, site.partner("north"))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('id = "north"', 'id = "south"', "is this node itself"),
        (PARTNER, PARTNER + PARTNER, "given twice"),
        ('receive_agreement = "from-north.toml"\n', "", "belong together"),
        ('username = "south-to-north"\n', "", "without username"),
        ("port = 8883", "port = 0", "greater than or equal to 1"),
        ("[[59.0, 27.0], [59.5, 28.0]]", "[[59.0, 27.0]]", "at least 2"),
        ('agreement = "to-north.toml"', "agrement = 'x'", "unknown key"),
    ],
)
def test_mistakes_name_the_file_and_the_key(folder, before, after, words) -> None:
    path = folder / "site.toml"
    content = SITE + PARTNER
    assert before in content
    path.write_text(content.replace(before, after, 1))
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    assert any(words in line and "site.toml" in line for line in caught.value.problems)


def test_check_says_everything_that_is_wrong_with_the_files_named(folder, capsys) -> None:
    assert main(["check", str(folder / "site.toml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    (folder / "from-north.toml").unlink()
    (folder / "to-north.toml").write_text(text(giver="south", receiver="north", classes="[]"))
    (folder / "ours").unlink()
    (folder / "theirs").unlink()
    assert main(["check", str(folder / "site.toml"), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert len(problems) == 4
    for name in ("from-north.toml", "to-north.toml", "broker.password_file", "'north'.password_"):
        assert any(name in problem for problem in problems), problems
