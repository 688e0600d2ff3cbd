"""The pages say what there is."""

import re
import tomllib
from pathlib import Path

import pytest

from vedette.cli import COMMANDS, build_parser

ROOT = Path(__file__).parents[2]
ROOMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["packages"]


@pytest.mark.parametrize("room", sorted(set(ROOMS) - {"vedette"}))
def test_every_room_has_a_page_that_the_readme_links(room):
    assert (ROOT / "docs" / f"{room}.md").stat().st_size > 200
    readme = (ROOT / "README.md").read_text()
    assert f"docs/{room}.md" in readme or f"`{room}/`" in readme


def test_the_readme_opens_with_the_two_commands():
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line]
    assert lines[1].strip().startswith("make demo")
    assert lines[2].strip().startswith("make test")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_has_an_example(command, capsys):
    assert f"vedette {command}" in (ROOT / "README.md").read_text()
    with pytest.raises(SystemExit) as ended:
        build_parser([command]).parse_args([command, "--help"])
    assert ended.value.code == 0
    assert "xample" in capsys.readouterr().out


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_claim_about_delivery_names_a_test_that_is_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "delivery.md").read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 40
    assert named <= set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))


def test_every_decision_has_its_number_once():
    numbers = [page.name[:3] for page in (ROOT / "docs" / "decisions").glob("*.md")]
    assert len(numbers) == len(set(numbers))
