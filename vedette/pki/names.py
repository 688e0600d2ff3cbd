"""Who somebody is: a role and a name, written ``role:name``.

It is the common name of a certificate, so Mosquitto's user name (``use_identity_as_username``), so
its client id (``use_username_as_clientid``), so the key of its ACL. The role is a part of all
four: a source that is called like a partner is another user, and neither can be taken for the
other. No name holds a colon, so there is one way to read each identity.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from model.errors import VedetteError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
"""As `config.schema.Name`: it stands in topics and in file names."""

COMMON_NAME_LETTERS = 64
"""Longest common name, letters: ub-common-name of RFC 5280, appendix A.1."""


class PkiError(VedetteError):
    """Something about certificates cannot be done; the message names it."""


class Role(StrEnum):
    """What a certificate is for."""

    NODE = "node"
    CONSOLE = "console"
    PUBLISHER = "publisher"
    BROKER = "broker"
    PAGE = "page"
    SOURCE = "source"
    PARTNER = "partner"
    VIEWER = "viewer"
    OPERATOR = "operator"
    RECORDER = "recorder"
    PLAYER = "player"
    PROBE = "probe"


MEANING = {
    Role.NODE: "the node's core: reads sensors and commands, writes receipts and quarantine",
    Role.CONSOLE: "the node's serve process: writes commands",
    Role.PUBLISHER: "the node's publisher to the partner of that name",
    Role.BROKER: "the broker's own, for its listener",
    Role.PAGE: "the web page's own, for its listener",
    Role.SOURCE: "a source ([[source]]): speaks for its sensors, reads its receipts",
    Role.PARTNER: "a partner's node: reads what we give it, writes its acks",
    Role.VIEWER: "a partner's people: read live.json of what their node is given",
    Role.OPERATOR: "a person at the web page; nothing at the broker",
    Role.RECORDER: "vedette record: reads what sensors say; named after the node",
    Role.PLAYER: "plays sensors into an exercise, nothing in a live node; named after the node",
    Role.PROBE: "a moment's certificate that proves something to the broker; nothing at it",
}
"""One line of help each."""

PROCESSES = frozenset({Role.NODE, Role.CONSOLE, Role.PUBLISHER})
"""The node's own; whoever shows the certificate of one pushes it out of the broker."""

SERVERS = frozenset({Role.BROKER, Role.PAGE})
"""They are connected to (serverAuth); all others connect (clientAuth). RFC 5280, 4.2.1.12."""

ISSUABLE = tuple(role for role in Role if role is not Role.PROBE)
"""What people may ask for."""

LIFETIME_DAYS = {
    # Renewed over the network or on the same machine. 397 is the most that browsers take of
    # public authorities (398 days, CA/Browser Forum BR 6.3.2 until 2026), a day to spare.
    Role.NODE: 397,
    Role.CONSOLE: 397,
    Role.PUBLISHER: 397,
    Role.BROKER: 397,
    Role.PAGE: 397,
    # In the field: one yearly visit may be missed.
    Role.SOURCE: 730,
    # Another state's: looked at again each year, as agreements are.
    Role.PARTNER: 397,
    Role.VIEWER: 397,
    # People change posts, and lose laptops.
    Role.OPERATOR: 90,
    # In people's hands too, for a trial or an exercise: one reads all that sensors say, the other
    # speaks for every sensor.
    Role.RECORDER: 90,
    Role.PLAYER: 90,
    Role.PROBE: 1,
}
"""How long a certificate holds at most, days."""


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Who somebody is.

    Parameters
    ----------
    role
        What for.
    name
        Of the source, partner, node...

    Raises
    ------
    PkiError
        If the name is none, or is too long for a common name.
    """

    role: Role
    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise PkiError(
                f"name {self.name!r}: letters, digits, '_', '.' and '-' only, "
                "and it begins with a letter or a digit"
            )
        if len(str(self)) > COMMON_NAME_LETTERS:
            most = COMMON_NAME_LETTERS - len(self.role) - 1
            raise PkiError(f"name {self.name!r}: a {self.role} may have {most} letters at most")

    def __str__(self) -> str:
        return f"{self.role}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The identity in a common name.

        Raises
        ------
        PkiError
            If it is none.
        """
        role, colon, name = text.partition(":")
        if not colon or role not in set(Role):
            raise PkiError(f"{text!r} is no identity: role:name is, with a role out of "
                           + ", ".join(ISSUABLE))  # fmt: skip
        return cls(Role(role), name)
