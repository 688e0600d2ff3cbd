"""Write a site file: the little TOML that the demo and the tests need."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_site(path: Path, document: Mapping[str, Any]) -> None:
    """Write tables and lists of tables as TOML.

    Parameters
    ----------
    path
        Where to.
    document
        Top level: dicts become ``[table]``, lists of dicts ``[[table]]``; deeper dicts become
        inline tables.
    """
    lines: list[str] = []
    for name, value in document.items():
        tables = [value] if isinstance(value, Mapping) else value
        head = f"[{name}]" if isinstance(value, Mapping) else f"[[{name}]]"
        for table in tables:
            lines.append(head)
            lines.extend(f"{_key(key)} = {_value(item)}" for key, item in table.items())
            lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else _text(key)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ("nan" if value != value else "inf")
    if isinstance(value, str | Path):
        return _text(str(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return "{" + inner + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"{value!r} has no place in a site file")
