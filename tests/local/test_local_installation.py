"""Nobody else owns one of our import names."""

import sys

from vedette.local.installation import ROOMS, foreign_owners


def test_this_installation_is_clean():
    assert foreign_owners() == []


def test_a_stranger_with_one_of_our_names_is_found(tmp_path, monkeypatch):
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("storage\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    problems = foreign_owners()
    assert len(problems) == 1
    assert problems[0].startswith("the distribution stranger brings a package storage, which is")


def test_a_name_that_leads_elsewhere_is_found(tmp_path, monkeypatch):
    (tmp_path / "sharing").mkdir()
    (tmp_path / "sharing" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.split(".")[0] == "sharing"]:
        monkeypatch.delitem(sys.modules, name)
    problems = foreign_owners()
    assert len(problems) == 1
    assert problems[0].startswith("import sharing leads to ")


def test_the_list_of_rooms_is_that_of_the_package(request):
    text = (request.config.rootpath / "pyproject.toml").read_text()
    listed = text.split("root_packages = [")[1].split("]")[0]
    assert [word.strip('" \n') for word in listed.split(",") if word.strip()] == list(ROOMS)
