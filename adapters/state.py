"""What a decoder remembers between batches: bounded, transactional, and part of the snapshot."""

from collections import OrderedDict
from typing import Any

from model.errors import SnapshotError

PLAIN = (type(None), bool, int, float, str, bytes)
"""Scalars that a snapshot can hold."""


class BoundedState:
    """A `model.ports.KeyedState`: least recently used keys go first, changes can be taken back.

    Changes are in force at once, so what a message sees never depends on how messages are cut
    into batches; an undo list takes them back if the batch fails. Reading a key counts as use.

    Parameters
    ----------
    max_keys
        Keys kept; one more, and the least recently used is forgotten (and counted).

    Raises
    ------
    ValueError
        If `max_keys` is less than 1.

    Notes
    -----
    A value that was got or put must not be changed in place: put a new one.
    """

    def __init__(self, max_keys: int = 4096) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys {max_keys} keeps nothing")
        self.max_keys = max_keys
        self.evicted = 0
        self._entries: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._tick = 0
        self._undo: dict[str, tuple[int, Any] | None] = {}
        self._evicted_before = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Any | None:
        """Value put under a key, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._undo.setdefault(key, entry)
        self._tick += 1
        self._entries[key] = (self._tick, entry[1])
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, value: Any) -> None:
        """Remember a value."""
        self._undo.setdefault(key, self._entries.get(key))
        self._tick += 1
        self._entries[key] = (self._tick, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self.max_keys:
            oldest, entry = self._entries.popitem(last=False)
            self._undo.setdefault(oldest, entry)
            self.evicted += 1

    def drop(self, key: str) -> None:
        """Forget a key."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._undo.setdefault(key, entry)

    def commit(self) -> None:
        """Keep what has changed since the last commit."""
        self._undo.clear()
        self._evicted_before = self.evicted

    def rollback(self) -> None:
        """Be again as at the last commit."""
        for key, entry in self._undo.items():
            if entry is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = entry
        self._entries = OrderedDict(sorted(self._entries.items(), key=lambda pair: pair[1][0]))
        self._undo.clear()
        self.evicted = self._evicted_before

    def export(self) -> dict[str, Any]:
        """Plain data from which `restore` makes an equal state; only between batches."""
        return {
            "evicted": self.evicted,
            "entries": [[key, value] for key, (_, value) in self._entries.items()],
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Take over what `export` gave; a smaller bound forgets the least recently used.

        Raises
        ------
        SnapshotError
            If the data are of another shape.
        """
        try:
            entries = [(str(key), value) for key, value in data["entries"]]
            evicted = int(data["evicted"])
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"decoder state: not as exported: {error}") from error
        self._entries.clear()
        self._tick = 0
        self.evicted = evicted
        for key, value in entries:
            self.put(key, value)
        self.commit()


def is_plain(value: Any) -> bool:
    """Whether a value is plain data that a snapshot can hold."""
    if isinstance(value, PLAIN):
        return True
    if isinstance(value, list):
        return all(is_plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and is_plain(entry) for key, entry in value.items())
    return False
