"""From the broker's log to the audit log: who was refused what.

Mosquitto logs a refused publication (at level debug), and says nothing of messages that it does not
deliver; so each subscription (level subscribe) is held against the grants here. A client cannot
write lines of its own: neither topics nor common names of ours hold line breaks.

Lines are those of Mosquitto 2.0.11 (``src/handle_publish.c``, ``handle_subscribe.c``, ``net.c``).
"""

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from config import Site
from model.errors import ConfigError
from vedette.audit import AuditError, AuditLog
from vedette.broker.grants import contains, grants_of
from vedette.local.broker_files import Grant
from vedette.pki.folder import write_whole

READ_BYTES = 4 << 20
"""Read in one look at most; a busy broker writes some hundred bytes a message."""

KEEP_BYTES = 64 << 20
"""A log that was read to its end is emptied from this size on: publications refused are logged
only along with all others, and nobody needs those."""

DISTINCT = 256
"""Different refusals written in one look; of more, only their number."""

LOOK_S = 1.0
"""Pause between two looks, s: equal refusals within it are one entry with a count."""

_STAMP = r"^(?:\S+: )?"
_WHO = r"(?P<who>[A-Za-z0-9][A-Za-z0-9_.:-]*)"
_PATTERNS = (
    (
        "broker.denied_publish",
        re.compile(
            _STAMP + r"Denied PUBLISH from (?P<who>\S+) \(d\d, q\d, r\d, m\d+, '(?P<topic>.*)', "
            r"\.\.\. \(\d+ bytes\)\)$"
        ),
    ),
    ("broker.subscribed", re.compile(_STAMP + _WHO + r" [012] (?P<topic>.+)$")),
    (
        "broker.refused_client",
        re.compile(_STAMP + r"Client (?P<who>\S+) disconnected, (?P<why>not authorised)\.$"),
    ),
    (
        "broker.refused_client",
        re.compile(_STAMP + r"Client (?P<who>\S+) disconnected due to (?P<why>oversize packet)\.$"),
    ),
    (
        "broker.refused_tls",
        re.compile(
            _STAMP + r"(?:OpenSSL Error\[\d+\]|Client connection from (?P<who>\S+) failed): "
            r"error:[0-9A-F]+:SSL routines:[^:]*:"
            r"(?P<why>[^:]*(?:certificate|protocol|version|cipher|alert|http request)[^:]*?)\.?$"
        ),
    ),
)

SHARED = re.compile(r"\$share/[^/]+/(.+)")
"""A shared subscription; MQTT 5.0, 4.8.2."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that the broker did not let somebody do.

    Parameters
    ----------
    action
        As in the audit log.
    who
        Identity, or the address where there is none.
    topic
        Topic or filter; empty: it is about none.
    why
        In the broker's words; empty: the grants.
    """

    action: str
    who: str
    topic: str = ""
    why: str = ""


def parse(line: str) -> Refusal | None:
    """What a line says of a refusal; a subscription may be none. None: nothing."""
    for action, pattern in _PATTERNS:
        match = pattern.match(line)
        if match:
            found = {name: value or "" for name, value in match.groupdict().items()}
            return Refusal(
                action, found.get("who", ""), found.get("topic", ""), found.get("why", "")
            )
    return None


class Judge:
    """Tells refusals from what was allowed.

    Parameters
    ----------
    grants
        By identity, as text.
    """

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        self._grants = grants

    def refusals(self, lines: Iterable[str]) -> Counter[Refusal]:
        """How often each thing was refused."""
        found: Counter[Refusal] = Counter()
        for line in lines:
            refusal = parse(line)
            if refusal is None:
                continue
            if refusal.action == "broker.subscribed":
                shared = SHARED.fullmatch(refusal.topic)
                asked = shared[1] if shared else refusal.topic
                if contains(self._grants.get(refusal.who, Grant()).subscribe, asked):
                    continue
                refusal = replace(refusal, action="broker.denied_subscribe")
            found[refusal] += 1
        return found


class Follower:
    """Follows a broker's log file, also over its rotation and our restarts.

    Parameters
    ----------
    log
        The file; it may come later.
    audit
        Where refusals go.
    judge
        Tells them.
    """

    def __init__(self, log: Path, audit: AuditLog, judge: Judge) -> None:
        self._log, self._audit, self._judge = log, audit, judge
        self._place = audit.path.with_name(f"{audit.path.name}.{log.name}.place")
        self.refused = 0
        """Refusals seen since the start."""
        self.problem = ""
        """Why the log is not followed; empty: it is."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def look(self) -> int:
        """Take in what is new; returns how many bytes.

        Raises
        ------
        AuditError
            If the audit log cannot be written: then it is tried again.
        OSError
            If the log cannot be read.
        """
        if not self._audit.path.parent.is_dir():
            return 0  # the node's folder is the core's to make; the log waits
        with self._log.open("rb") as file:
            facts = os.fstat(file.fileno())
            inode, offset = self._remembered()
            if inode != facts.st_ino or offset > facts.st_size:
                offset = 0  # another file, or it was emptied
            file.seek(offset)
            content = file.read(READ_BYTES)
        whole = content.rfind(b"\n") + 1
        if not whole and len(content) == READ_BYTES:
            whole = len(content)  # no line of Mosquitto's
        if whole:
            lines = content[:whole].decode("utf-8", "replace").splitlines()
            self._write(self._judge.refusals(lines))
            offset += whole
            text = json.dumps({"inode": facts.st_ino, "offset": offset})
            write_whole(self._place, text.encode())
        if offset == facts.st_size >= KEEP_BYTES:
            # Mosquitto appends (O_APPEND), so it goes on at the beginning.
            os.truncate(self._log, 0)
        return whole

    def start(self) -> None:
        """Follow on a thread, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after one more look."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            last = self._stopping.is_set()
            try:
                more = self.look() == READ_BYTES
                self.problem = ""
            except (OSError, AuditError) as error:
                self.problem, more = str(error), False
            if last:
                return
            if not more:
                self._stopping.wait(LOOK_S)

    def _write(self, found: Counter[Refusal]) -> None:
        rows = found.most_common(DISTINCT)
        entries = [
            (
                one.action,
                {
                    "count": count,
                    **{
                        key: value
                        for key, value in (
                            ("who", one.who),
                            ("topic", one.topic),
                            ("why", one.why),
                        )
                        if value
                    },
                },
            )
            for one, count in rows
        ]
        rest = found.total() - sum(count for _, count in rows)
        if rest:
            entries.append(("broker.more_refusals", {"count": rest}))
        if entries:
            self._audit.add_all(entries)
            self.refused += found.total()

    def _remembered(self) -> tuple[int, int]:
        try:
            place = json.loads(self._place.read_text(encoding="ascii"))
            return int(place["inode"]), int(place["offset"])
        except (OSError, ValueError, TypeError, KeyError):
            return -1, 0


def follower_of(site: Site) -> Follower | None:
    """Follower of the log that a site file names; None: it names none, or no identities.

    Raises
    ------
    ConfigError
        If the site file cannot be granted.
    """
    if site.broker.log_file is None or site.broker.tls is None:
        return None
    grants = {str(identity): grant for identity, grant in grants_of(site).items()}
    log = (site.path.parent / site.broker.log_file).absolute()
    return Follower(log, AuditLog(site.data_dir / "audit.jsonl"), Judge(grants))


def follower_needed(site: Site) -> Follower:
    """As `follower_of`, where there must be one.

    Raises
    ------
    ConfigError
        If the site file names no log, or cannot be granted.
    """
    follower = follower_of(site)
    if follower is None:
        raise ConfigError(
            [f"{site.path}: broker.log_file or broker.tls: missing: nothing to follow"]
        )
    return follower
