"""Identities as integers, so that kernels compare numbers and not bytes.

A name is a mix of 64 bits of the kind and the 24 bytes of an identity by the finaliser of
SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA
2014, doi:10.1145/2660193.2660195). Two identities at random share a name with probability 2^-64.
The mix has no key: whoever means to can make up an identity with another's name; he could as well
have sent the other's identity, for nothing in AIS, ADS-B or Remote ID proves who sends. What is
published is the identity itself, never the name.
"""

import numpy as np

from fusion.jit import inlined, kernel
from fusion.records import WORDS
from model.arrays import Array, Int64s
from model.detections import IdentityKind

NO_NAME = 0
"""Name of what bears no identity."""

_NONE = int(IdentityKind.NONE)


def words_of(identity: Array) -> Array:
    """(N, 3) uint64, the bytes of identities (N,) bytes24, little-endian."""
    return np.ascontiguousarray(identity).view("<u8").reshape(len(identity), WORDS)


def names_of(identity_kind: Array, identity: Array) -> Int64s:
    """Names (N,) int64 of identities (N,) uint8 and bytes24; `NO_NAME` where there is none."""
    names = np.empty(len(identity), dtype=np.int64)
    _name_all(np.ascontiguousarray(identity_kind), words_of(identity), names)
    return names


@inlined
def mixed(value: np.uint64) -> np.uint64:
    """Finaliser of SplitMix64, a bijection."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@inlined
def name_of(kind: int, first: np.uint64, second: np.uint64, third: np.uint64) -> int:
    """Name of one identity: its kind, and its bytes as three words."""
    if kind == _NONE:
        return NO_NAME
    value = mixed(np.uint64(kind))
    value = mixed(value ^ first)
    value = mixed(value ^ second)
    value = mixed(value ^ third)
    if value == np.uint64(NO_NAME):
        value = np.uint64(1)
    return np.int64(value)  # type: ignore[return-value]  # an int to those who read it


@kernel
def _name_all(kinds: Array, words: Array, names: Int64s) -> None:
    for i in range(len(kinds)):
        names[i] = name_of(kinds[i], words[i, 0], words[i, 1], words[i, 2])
