"""The index: every authority, certificate and revocation, one JSON line each, only ever appended.

What is in force is read out of it; a certificate stands in it before anybody gets it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from vedette.pki.names import Identity, PkiError

SOON = timedelta(days=14)
"""From so long before its end on a certificate is *soon*: two weeks to renew what is in the field.
Let's Encrypt warns 20 and 7 days before."""


class State(StrEnum):
    """How a certificate is."""

    VALID = "valid"
    SOON = "soon"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was signed.

    Parameters
    ----------
    identity, serial, generation
        Whose, which, and by which authority.
    not_before, not_after
        From when to when it holds, UTC.
    hosts
        Names and addresses in it.
    own_key
        Its key was made here (not by its holder, who sent a request).
    momentary
        It was made to prove something to the broker at once, and its key is gone.
    revoked
        When it was revoked, UTC; None: it was not.
    reason
        Why.
    """

    identity: Identity
    serial: int
    generation: int
    not_before: datetime
    not_after: datetime
    hosts: tuple[str, ...] = ()
    own_key: bool = True
    momentary: bool = False
    revoked: datetime | None = None
    reason: str = ""

    def state(self, now: datetime) -> State:
        """How it is at a time."""
        if self.revoked is not None:
            return State.REVOKED
        if now >= self.not_after:
            return State.EXPIRED
        return State.SOON if now >= self.not_after - SOON else State.VALID

    def holds(self, now: datetime) -> bool:
        """Whether it is believed at a time."""
        return self.state(now) in {State.VALID, State.SOON}


@dataclass(frozen=True, slots=True)
class Ca:
    """An authority of the node.

    Parameters
    ----------
    generation
        From 1; the highest signs.
    not_after
        Until when it holds, UTC.
    retired
        It is not believed any more.
    """

    generation: int
    not_after: datetime
    retired: bool = False


class Index:
    """What an index file says.

    Parameters
    ----------
    path
        The file; it need not be there.

    Raises
    ------
    PkiError
        If a line is none of ours; names it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.node = ""
        self.authorities: dict[int, Ca] = {}
        self.certificates: dict[int, Issued] = {}
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            lines = [b""]
        except OSError as error:
            raise PkiError(f"{path}: {error.strerror or error}") from error
        self._torn = len(lines[-1])  # of a line that was never whole: nobody relied on it
        for number, line in enumerate(lines[:-1], start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, PkiError) as error:
                raise PkiError(f"{path}:{number}: no entry of an index") from error

    def of(self, identity: Identity) -> list[Issued]:
        """Certificates of an identity, oldest first; no momentary ones."""
        found = self.certificates.values()
        return [one for one in found if one.identity == identity and not one.momentary]

    @property
    def newest(self) -> Ca:
        """The authority that signs."""
        return self.authorities[max(self.authorities)]

    def believed(self) -> list[Ca]:
        """Authorities that were not retired, newest first."""
        return [ca for _, ca in sorted(self.authorities.items(), reverse=True) if not ca.retired]

    def add(self, **entry: Any) -> None:
        """Append an entry and take it in; it is on disk when this returns."""
        line = json.dumps(entry, sort_keys=True).encode() + b"\n"
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.seek(-self._torn, os.SEEK_END)
            file.truncate()
            self._torn = 0
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._take(entry)

    def _take(self, entry: Mapping[str, Any]) -> None:
        event = entry["event"]
        if event == "authority":
            generation = int(entry["generation"])
            self.node = str(entry["node"])
            self.authorities[generation] = Ca(generation, _time(entry["not_after"]))
        elif event == "retired":
            generation = int(entry["generation"])
            self.authorities[generation] = replace(self.authorities[generation], retired=True)
        elif event == "issued":
            serial = int(entry["serial"], 16)
            self.certificates[serial] = Issued(
                Identity.parse(entry["identity"]),
                serial,
                int(entry["generation"]),
                _time(entry["not_before"]),
                _time(entry["not_after"]),
                tuple(map(str, entry["hosts"])),
                bool(entry["own_key"]),
                bool(entry.get("momentary")),
            )
        elif event == "revoked":
            serial = int(entry["serial"], 16)
            self.certificates[serial] = replace(
                self.certificates[serial],
                revoked=_time(entry["time"]),
                reason=str(entry["reason"]),
            )
        else:
            raise KeyError(event)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time.astimezone(UTC)
