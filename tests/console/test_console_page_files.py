"""The page's own files: typed, short, and naming no other host."""

from pathlib import Path

import pytest

from console.app import STATIC

LINES = 300
"""Longest script of the page."""


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_each_script_is_checked_typed_and_short(path: Path):
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "// @ts-check"
    assert len(lines) < LINES


@pytest.mark.parametrize(
    "path", sorted(path for path in STATIC.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_no_file_of_the_page_names_another_host(path: Path):
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in text
    assert "https:" not in text.replace('"https:" ?', "")
    assert "style=" not in text
    assert "innerHTML" not in text
