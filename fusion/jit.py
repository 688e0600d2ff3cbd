"""Compiled kernels: one decorator, so that all are compiled in the same way.

Compiled once and kept beside the source (or in the user's cache folder); no fast-math, so the same
inputs give the same bits on one build and CPU type.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from model.arrays import Array

Function = TypeVar("Function", bound=Callable[..., Any])


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


if "NUMBA_CACHE_DIR" not in os.environ and not _writable(Path(__file__).parent / "__pycache__"):
    # A program installed by somebody else: a folder of our own, or compiled anew at each start.
    _own = Path.home() / ".cache" / "vedette" / "numba"
    os.environ["NUMBA_CACHE_DIR"] = str(
        _own if _writable(_own) else Path(tempfile.gettempdir()) / f"vedette-numba-{os.getuid()}"
    )

import numba  # noqa: E402 - it reads the variable when it is imported


def kernel(function: Function) -> Function:
    """Compile a function of arrays and numbers at its first call."""
    compiled: Function = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    return compiled


def plain(array: Array) -> Array:
    """Itself, or a copy that is contiguous, aligned and writeable.

    Kernels are compiled for such arrays; each other sort would have them compiled once more.
    """
    return array if array.flags.carray else array.copy()
