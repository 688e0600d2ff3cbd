"""Compiled kernels: one decorator, so that all are compiled in the same way.

Compiled once and kept beside the source (or in the user's cache folder); no fast-math, so the same
inputs give the same bits on one build and CPU type.

A compiled kernel holds the constants and the kernels of other files that it was made of. numba asks
only whether the kernel's own file has changed, so what it is made of is part of the folder's name:
after a change of `fusion.settings` no old kernel is taken for a new one.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from model.arrays import Array

Function = TypeVar("Function", bound=Callable[..., Any])


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _folder() -> Path:
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    # A program installed by somebody else: a folder of our own, or compiled anew at each start.
    own = Path.home() / ".cache" / "vedette" / "numba"
    for folder in (Path(__file__).parent / "__pycache__" / "kernels", own):
        if _writable(folder):
            return folder
    return Path(tempfile.gettempdir()) / f"vedette-numba-{os.getuid()}"


_FOLDER = _folder()

_config: Any = numba.config  # its settings are made at run time, so no type knows them


def _made_of(names: Mapping[str, Any], seen: set[str]) -> Iterator[bytes]:
    """What a kernel that sees these names can be made of, its own file apart."""
    for name, value in sorted(names.items()):
        if isinstance(value, Dispatcher):
            function = value.py_func
            if function.__module__ not in seen:
                seen.add(function.__module__)
                yield Path(function.__code__.co_filename).read_bytes()
                yield from _made_of(function.__globals__, seen)
        elif not name.startswith("__") and _is_constant(value):
            yield f"{name}={value!r};".encode()


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_constant(part) for part in value)
    return isinstance(value, int | float | str | bytes | np.generic)


def kernel(function: Function) -> Function:
    """Compile a function of arrays and numbers at its first call."""
    return _compiled(function)


def inlined(function: Function) -> Function:
    """A kernel that is made a part of each kernel that calls it.

    For what is called once for each track or pair. The compiler seldom does that by itself, and a
    call hands over seven words for each array, and takes what it works on back from memory. The
    arithmetic stays the same, to the bit.
    """
    return _compiled(function, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    digest = hashlib.blake2b(digest_size=8)
    for part in _made_of(function.__globals__, {function.__module__}):
        digest.update(part)
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(_FOLDER / digest.hexdigest())
    try:
        compiled: Function = numba.njit(cache=True, error_model="numpy", nogil=True, **options)(
            function
        )
    finally:
        _config.CACHE_DIR = before
    return compiled


def plain(array: Array) -> Array:
    """Itself, or a copy that is contiguous, aligned and writeable.

    Kernels are compiled for such arrays; each other sort would have them compiled once more.
    """
    return array if array.flags.carray else array.copy()
