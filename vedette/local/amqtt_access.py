"""Users and grants for amqtt, read from the same files as Mosquitto's.

amqtt's own plugin for anonymous users makes their sessions forget everything at disconnection;
this one does not, so a reader without a password keeps its queue as it does with Mosquitto.
"""

from dataclasses import dataclass
from pathlib import Path

from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from vedette.local.broker_files import Grant, password_matches


class Access(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc] # amqtt ships no types
    """Lets users in and says what they may publish and read."""

    @dataclass
    class Config:
        """Files in Mosquitto's formats; empty: everybody, everything."""

        password_file: str = ""
        acl_file: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._users = read_passwords(self.config.password_file)
        self._grants = read_acl(self.config.acl_file)

    async def authenticate(self, *, session: Session) -> bool:
        """Whether a session may begin."""
        if self._users is None:
            return True
        stored = self._users.get(session.username or "")
        return stored is not None and password_matches(session.password or "", stored)

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """Whether a session may do what it is about to do with a topic.

        Subscribing is always granted and reading is not, as Mosquitto does it.
        """
        if self._grants is None or action == Action.SUBSCRIBE:
            return True
        grant = self._grants.get((session.username if session else None) or "")
        if grant is None:
            return False
        allowed = grant.publish if action == Action.PUBLISH else grant.subscribe
        return any(topic_matches(topic or "", pattern) for pattern in allowed)


def topic_matches(topic: str, pattern: str) -> bool:
    """Whether a topic name falls under a topic filter (MQTT 3.1.1, section 4.7)."""
    if topic.startswith("$") != pattern.startswith("$"):
        return False
    levels, wanted = topic.split("/"), pattern.split("/")
    for index, want in enumerate(wanted):
        if want == "#":
            return True
        if index >= len(levels) or want not in {"+", levels[index]}:
            return False
    return len(levels) == len(wanted)


def read_passwords(path: str) -> dict[str, str] | None:
    """Hashes by user name; None without a file."""
    if not path:
        return None
    lines = Path(path).read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if line)


def read_acl(path: str) -> dict[str, Grant] | None:
    """Grants by user name, of a file as `vedette.local.broker_files.acl_lines` writes it."""
    if not path:
        return None
    topics: dict[str, tuple[list[str], list[str]]] = {}
    name = ""
    for line in filter(None, Path(path).read_text().splitlines()):
        word, rest = line.split(" ", 1)
        if word == "user":
            name = rest
            topics[name] = ([], [])
        else:
            access, topic = rest.split(" ", 1)
            topics[name][0 if access == "write" else 1].append(topic)
    return {name: Grant(tuple(write), tuple(read)) for name, (write, read) in topics.items()}
