"""The audit log: what was done with identities and refused at the broker, chained by hashes.

JSON Lines. Every entry holds the hash of the one before, so nothing in the middle can be changed,
taken out or put in unseen. Whoever can write the file can cut its end off, or make all of it anew:
against that the head (`vedette audit verify` prints it) must be noted somewhere else.

An entry is one line of canonical JSON (keys sorted, no blanks)::

    {"action":"pki.issue","hash":"…","n":3,"previous":"…","time_ns":…, …}

``hash`` is the SHA-256 of the line as it would be without it; ``previous`` of the first is 64
zeros.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import VedetteError

FIRST = "0" * 64
"""``previous`` of the first entry."""

TAIL_BYTES = 1 << 16
"""An entry is far shorter, so the last one is found in so much of the end of the file."""

MAX_TEXT = 512
"""Letters of a text that are kept: others choose what stands in topics and in names."""

OWN = frozenset({"n", "time_ns", "action", "previous", "hash", "torn_bytes"})
"""Keys that the log itself writes."""


class AuditError(VedetteError):
    """The audit log is not as it was written, or cannot be written; names file and line."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain.

    Parameters
    ----------
    n
        Number of the last entry, from 1; 0: there is none.
    hash
        Its hash.
    """

    n: int = 0
    hash: str = FIRST


def digest(entry: Mapping[str, Any]) -> str:
    """Hash of an entry, hexadecimal."""
    return hashlib.sha256(_line({k: v for k, v in entry.items() if k != "hash"})).hexdigest()


class AuditLog:
    """An audit log in a file.

    Parameters
    ----------
    path
        Made at the first entry, of mode 0600.
    clock_ns
        UTC, ns.
    """

    def __init__(self, path: Path, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self._clock_ns = clock_ns

    def add(self, action: str, **facts: Any) -> Head:
        """Write one entry; it is on disk when this returns.

        Raises
        ------
        AuditError
            If it cannot be written.
        """
        return self.add_all([(action, facts)])

    def add_all(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Head:
        """Write entries (action, facts) with one sync; several processes may do so.

        Raises
        ------
        AuditError
            If they cannot be written, or the end of the file is no entry.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                return self._append(descriptor, entries)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AuditError(f"{self.path}: {error.strerror or error}") from error

    def _append(self, descriptor: int, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Head:
        head, end, torn = self._end(descriptor)
        if torn:
            os.ftruncate(descriptor, end)
        lines = []
        for action, facts in entries:
            if clash := OWN & facts.keys():
                raise ValueError(f"{sorted(clash)} are the log's own keys")
            entry = {
                **{key: _short(value) for key, value in facts.items()},
                "n": head.n + 1,
                "time_ns": self._clock_ns(),
                "action": action,
                "previous": head.hash,
            }
            if torn:  # the machine stopped in the middle of an entry, which nobody relied on
                entry["torn_bytes"], torn = torn, 0
            entry["hash"] = digest(entry)
            head = Head(entry["n"], entry["hash"])
            lines.append(_line(entry) + b"\n")
        content = memoryview(b"".join(lines))
        while content:
            written = os.pwrite(descriptor, content, end)
            content, end = content[written:], end + written
        os.fsync(descriptor)
        return head

    def _end(self, descriptor: int) -> tuple[Head, int, int]:
        """Head, where the next entry goes, and bytes of a torn one behind that."""
        size = os.fstat(descriptor).st_size
        start = max(0, size - TAIL_BYTES)
        tail = os.pread(descriptor, size - start, start)
        whole = tail.rfind(b"\n") + 1
        torn = len(tail) - whole
        lines = tail[:whole].splitlines()
        if not lines:
            if start:
                raise AuditError(f"{self.path}: its end is no entry")
            return Head(), 0, torn
        try:
            last = json.loads(lines[-1])
            return Head(int(last["n"]), str(last["hash"])), size - torn, torn
        except (ValueError, TypeError, KeyError) as error:
            raise AuditError(f"{self.path}: its last line is no entry") from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry, each held against the one before.

        Raises
        ------
        AuditError
            At the first one that is not as it was written; names the line.
        """
        head = Head()
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise AuditError(f"{self.path}: {error.strerror or error}") from error
        with file:
            for number, line in enumerate(file, start=1):
                where = f"{self.path}:{number}"
                if not line.endswith(b"\n"):
                    return  # torn, or being written just now
                entry = _entry(line, where)
                if entry.get("n") != head.n + 1 or entry.get("previous") != head.hash:
                    raise AuditError(f"{where}: does not follow the entry before it")
                if entry.get("hash") != digest(entry):
                    raise AuditError(f"{where}: was changed: its hash is another")
                head = Head(entry["n"], entry["hash"])
                yield entry

    def verify(self, known: str | None = None) -> Head:
        """Walk the whole chain and return its end.

        Parameters
        ----------
        known
            A hash noted before, which must be in the chain: then its end was not cut off since.

        Raises
        ------
        AuditError
            If an entry is not as it was written, or `known` is missing.
        """
        head, found = Head(), known is None or known == FIRST
        for entry in self.entries():
            head = Head(entry["n"], entry["hash"])
            found = found or entry["hash"] == known
        if not found:
            raise AuditError(f"{self.path}: the head {known} is not in it: its end was cut off")
        return head


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _entry(line: bytes, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{where}: is no JSON") from error
    if not isinstance(entry, dict) or _line(entry) + b"\n" != line:
        raise AuditError(f"{where}: is not written as entries are")
    return entry


def _short(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value
