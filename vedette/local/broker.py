"""An MQTT broker of our own on the loopback address: Mosquitto, or amqtt where there is none."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Self

from model.errors import LinkError
from vedette.local.broker_files import Grant, acl_lines, configuration, password_lines
from vedette.local.places import LOOPBACK, User, closed_parent, free_port, server_user
from vedette.local.port_owner import listens
from vedette.local.process import Child

BROKER_VARIABLE = "VEDETTE_BROKER"
"""Environment variable: ``mosquitto`` or ``amqtt`` forces one or the other."""

SYSTEM_FOLDERS = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/sbin",
    "/usr/local/opt/mosquitto/sbin",
)
"""Where packages put Mosquitto and an ordinary user's PATH does not lead."""

START_S = 20.0
"""Seconds for a start; a Mosquitto with a large saved queue reads it first."""

PORT_TRIES = 5
"""Starts with another free port when somebody took the last one meanwhile."""

AMQTT_LACKS = (
    "amqtt speaks MQTT 3.1.1 only: no reason codes, no receive maximum",
    "amqtt keeps sessions and queues in memory only: a restart forgets them",
    "amqtt gives up a message that is not acknowledged within 5 s",
    "amqtt loses messages that come while their reader connects or disconnects",
    "amqtt has no bounds on queues and message sizes",
    "amqtt does not tie client ids to users: even a client that it refuses can push out another",
)
"""Found in the source of amqtt 0.12.1 (mqtt/protocol/handler.py, broker.py) and in our tests."""

_IN_USE = "in use"


class LocalBroker:
    """A broker that this process starts, owns and ends.

    Parameters
    ----------
    directory
        Made if it does not exist: configuration, users, log, and what the broker saves.
    prefer
        ``auto`` (Mosquitto if found), ``mosquitto`` or ``amqtt``; the environment variable
        ``VEDETTE_BROKER`` wins over ``auto``.
    port
        None: a free one, kept over restarts.
    users
        Passwords in clear by user name; None: everybody may connect.
    acl
        Grants by user name; None: every user may do everything.
    log_refusals
        Whether its log says who was refused what (Mosquitto only).

    Raises
    ------
    LinkError
        By the constructor if the broker asked for is not there, by `start` if it does not start.
    """

    def __init__(
        self,
        directory: Path,
        *,
        prefer: str = "auto",
        port: int | None = None,
        users: Mapping[str, str] | None = None,
        acl: Mapping[str, Grant] | None = None,
        log_refusals: bool = False,
    ) -> None:
        self._log_refusals = log_refusals
        self.directory = directory.absolute()
        self.host = LOOPBACK
        self._fixed_port = port is not None
        self._port = port
        self._users = users
        self._acl = acl
        self._child: Child | None = None
        self._program = _choose(prefer)
        self._user: User | None = None
        self.name = "mosquitto" if self._program else "amqtt"
        """Which broker it is."""
        self.version = _mosquitto_version(self._program) if self._program else _amqtt_version()
        """Its version."""
        self.protocol = "5" if self._program else "3.1.1"
        """Highest MQTT version that it speaks."""

    @property
    def port(self) -> int:
        """Where it listens; known once it was started."""
        if self._port is None:
            raise LinkError(f"{self.directory}: the broker was not started yet")
        return self._port

    @property
    def pid(self) -> int | None:
        """Process id of the broker, or None when it does not run."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> Path:
        """The broker's log."""
        return self.directory / "broker.log"

    @property
    def lacks(self) -> tuple[str, ...]:
        """What this broker cannot do, a short sentence each, for the status."""
        if self.name == "amqtt":
            return AMQTT_LACKS
        closed = self._closed()
        if closed is not None:
            return (f"mosquitto runs as root, because {closed} is closed to the user nobody",)
        return ()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return when our own process takes connections."""
        if self._child is not None:
            raise LinkError(f"{self.directory}: the broker already runs")
        for attempt in range(1, PORT_TRIES + 1):
            if self._port is None:
                self._port = free_port()
            try:
                self._child = self._launch(self._port)
            except _PortTakenError as error:
                if self._fixed_port or attempt == PORT_TRIES:
                    raise LinkError(str(error)) from None
                self._port = None
            except (OSError, ValueError) as error:
                raise LinkError(f"{self.directory}: no broker: {error}") from error
            else:
                self._fixed_port = True
                return

    def stop(self) -> None:
        """End it in good order; Mosquitto saves its sessions and queues."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP) until `resume`."""
        if self._child is not None:
            self._child.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        if self._child is not None:
            self._child.send(signal.SIGCONT)

    def _closed(self) -> Path | None:
        closed = closed_parent(self.directory / "x", server_user())
        return None if closed == self.directory else closed

    def _launch(self, port: int) -> Child:
        self._prepare(port)
        if self._program is not None:
            command = [str(self._program), "-c", str(self.directory / "mosquitto.conf")]
            child = Child.program(
                "mosquitto", command, log=self.log, cwd=self.directory, user=self._user
            )
        else:
            config = str(self.directory / "amqtt.json")
            child = Child.python(
                "amqtt", "vedette.local.amqtt_main", [config], log=self.log, cwd=self.directory
            )
        try:
            self._await_ready(child, port)
        except BaseException:
            child.terminate()
            raise
        return child

    def _prepare(self, port: int) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        as_root = server_user() is not None and self._closed() is not None
        self._user = None if as_root else server_user()
        users = acl = None
        if self._users is not None:
            users = self.directory / "users"
            self._write(users, password_lines(self._users))
        if self._acl is not None:
            acl = self.directory / "acl"
            self._write(acl, acl_lines(self._acl))
        if self._program is None:
            files = {"password_file": str(users or ""), "acl_file": str(acl or "")}
            content = json.dumps({"host": self.host, "port": port, **files})
            self._write(self.directory / "amqtt.json", content)
            return
        text = configuration(
            self.host,
            port,
            self.directory,
            password_file=users,
            acl_file=acl,
            as_root=as_root,
            log_refusals=self._log_refusals,
        )
        self._write(self.directory / "mosquitto.conf", text)
        if self._user is not None:
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, self._user.uid, self._user.gid)

    def _write(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)

    def _await_ready(self, child: Child, port: int) -> None:
        """Wait until the port takes connections and it is our child that took it."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if child.poll() is not None:
                tail = child.log_tail()
                message = f"{self.directory}: {self.name} ended at its start\n{tail}"
                raise _PortTakenError(message) if _IN_USE in tail else LinkError(message)
            if listens(child.pid, port) is not False and _accepts(self.host, port):
                return
            time.sleep(0.01)
        raise LinkError(
            f"{self.directory}: {self.name} does not listen on port {port} after {START_S:.0f} s\n"
            f"{child.log_tail()}"
        )


class _PortTakenError(LinkError):
    """Somebody else listens on the port."""


def _accepts(host: str, port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), timeout=1.0) as connection,
    ):
        # A CONNECT of MQTT 3.1.1 without a name, clean session (section 3.1); every broker
        # answers it with a CONNACK (0x20), if only to refuse.
        connection.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00")
        return connection.recv(4)[:1] == b"\x20"
    return False


def _choose(prefer: str) -> Path | None:
    """Mosquitto's program, or None for amqtt."""
    if prefer not in {"auto", "mosquitto", "amqtt"}:
        raise LinkError(f"broker {prefer!r} is not one of auto, mosquitto, amqtt")
    if prefer == "auto":
        prefer = os.environ.get(BROKER_VARIABLE) or "auto"
        if prefer not in {"auto", "mosquitto", "amqtt"}:
            raise LinkError(f"{BROKER_VARIABLE}={prefer!r} is not one of mosquitto, amqtt")
    found = None if prefer == "amqtt" else find_mosquitto()
    if prefer == "mosquitto" and found is None:
        raise LinkError("mosquitto is neither on PATH nor in " + ", ".join(SYSTEM_FOLDERS))
    return found


def find_mosquitto() -> Path | None:
    """Mosquitto's program, on PATH or in the system folders that an ordinary PATH lacks."""
    for path in (os.environ.get("PATH"), os.pathsep.join(SYSTEM_FOLDERS)):
        if path and (found := shutil.which("mosquitto", path=path)):
            return Path(found).absolute()
    return None


def _mosquitto_version(program: Path) -> str:
    # It prints its version with its help, and ends with status 3.
    text = subprocess.run(  # noqa: S603 - absolute path, no shell
        [program, "-h"], capture_output=True, text=True, check=False
    ).stdout
    match = re.search(r"version (\S+)", text)
    return match[1] if match else "unknown"


def _amqtt_version() -> str:
    return installed_version("amqtt")
