"""The fused C loop of `floor.c`, compiled when it is needed: what a scan costs at least."""

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from model.arrays import Array, Floats

SOURCE = Path(__file__).with_name("floor.c")

FLAGS = ("-std=c99", "-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC")

ROWS = 14
"""Doubles of a track: four of state, ten of covariance."""

REPEATS = 5
"""Runs on fresh copies of the same arrays; the median counts."""

DOUBLES = ctypes.POINTER(ctypes.c_double)
INTS = ctypes.POINTER(ctypes.c_int)


class Floor:
    """The compiled loop.

    Raises
    ------
    RuntimeError
        If there is no C compiler, or it fails; the text says which.
    """

    def __init__(self) -> None:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise RuntimeError("there is no C compiler (cc)")
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "floor.so"
            command = [compiler, *FLAGS, str(SOURCE), "-o", str(library), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{compiler} failed: {done.stderr.strip()[:300]}")
            self._scan = ctypes.CDLL(str(library)).floor_scan
        self._scan.restype = ctypes.c_long
        self._scan.argtypes = [
            ctypes.c_long,
            DOUBLES,
            ctypes.c_long,
            DOUBLES,
            DOUBLES,
            *[ctypes.c_double] * 5,
            ctypes.c_int,
            INTS,
            INTS,
            DOUBLES,
        ]

    def scan(
        self, tracks: Floats, points: Floats, sigma_m: float, dt: float, density: float
    ) -> tuple[float, int]:
        """One scan over copies of the arrays.

        Parameters
        ----------
        tracks
            (14, n) float64 as in `packed`.
        points
            (m, 2) east, north m of the detections.
        sigma_m
            Their standard deviation per axis.
        dt
            Seconds since the tracks' time.
        density
            Of the white acceleration, m²/s³.

        Returns
        -------
        tuple
            Median CPU seconds, and how many tracks were updated.
        """
        n, m = tracks.shape[1], len(points)
        east = np.ascontiguousarray(points[:, 0])
        north = np.ascontiguousarray(points[:, 1])
        corner = float(points.min())
        side = max(1, int(np.sqrt(m)))
        cell = max(float(points.max()) - corner, 1.0) / side
        begin = np.empty(side * side + 1, dtype=np.int32)
        order = np.empty(m, dtype=np.int32)
        room = np.empty(2 * m)
        spent, updated = [], 0
        for _ in range(REPEATS):
            mine = np.ascontiguousarray(tracks.copy())
            start = time.process_time()
            updated = self._scan(
                n,
                _at(mine, DOUBLES),
                m,
                _at(east, DOUBLES),
                _at(north, DOUBLES),
                sigma_m**2,
                dt,
                density,
                corner,
                cell,
                side,
                _at(begin, INTS),
                _at(order, INTS),
                _at(room, DOUBLES),
            )
            spent.append(time.process_time() - start)
        self.last = mine
        return float(np.median(spent)), updated


def packed(state: Floats, covariance: Floats) -> Floats:
    """(14, n) of states (n, 4) and covariances (n, 4, 4)."""
    upper = np.triu_indices(4)
    return np.ascontiguousarray(np.vstack([state.T, covariance[:, upper[0], upper[1]].T]))


def _at(array: Array, kind: type) -> object:
    return array.ctypes.data_as(kind)
