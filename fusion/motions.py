"""How movers of each class move: the models that a track follows once its class is known.

A person stands or walks, a vehicle stands or drives, a UAV hovers or flies; vessels and aircraft go
on or manoeuvre. While nothing is known of the class, a track has two densities of white
acceleration that fit all (`fusion.habits` learns them); with its class it changes to the models of
that class. Where a mover may stand, the calmer mode forgets its velocity within a second: a track
that stands is held where it is, and one that is not seen does not drift away.

References
----------
D. S. Johnson, J. M. London, M.-A. Lea, J. W. Durban, "Continuous-time correlated random walk model
for animal telemetry data", Ecology 89(5), 2008, doi:10.1890/07-1032.1: velocity as an
Ornstein-Uhlenbeck process, integrated.
"""

from dataclasses import dataclass

from fusion.records import MODES
from model.taxonomy import CLASSES, UNKNOWN

ANY = UNKNOWN
"""`motion` of a track whose class is not known."""


@dataclass(frozen=True)
class Motion:
    """Models of one class, one value for each mode, the calmer first.

    Parameters
    ----------
    density
        Density of white acceleration, m²/s³.
    damping
        How fast a velocity is forgotten, 1/s; 0: nearly constant velocity. The velocity of one who
        stays in such a mode has a standard deviation of sqrt(density / (2 damping)) per axis.
    share
        Where a mover's mode goes when it changes.
    speed
        Standard deviation of the velocity of a mover just found, m/s per axis.
    """

    density: tuple[float, ...]
    damping: tuple[float, ...]
    share: tuple[float, ...]
    speed: tuple[float, ...]

    def livelier(self, modes: int) -> "Motion":
        """Only the last `modes` of them."""
        share = self.share[-modes:]
        return Motion(
            self.density[-modes:],
            self.damping[-modes:],
            tuple(part / sum(share) for part in share),
            self.speed[-modes:],
        )


_NO_DAMPING, _EVEN = (0.0, 0.0), (0.5, 0.5)

BY_CLASS: dict[str, Motion] = {
    # Stands (0.1 m/s, weight shifted) or walks: 1.3 m/s on average (R. W. Bohannon, A. W. Andrews,
    # Physiotherapy 97(3), 2011, doi:10.1016/j.physio.2010.12.004), turning within a second or two.
    "human": Motion((0.04, 0.1), (2.0, 0.0), (0.3, 0.7), (0.1, 1.0)),
    "animal": Motion((0.04, 1.0), (2.0, 0.0), (0.5, 0.5), (0.1, 2.5)),
    # Stands (what its echo wanders: 0.1 m/s) or drives, braking and turning at 2 to 3 m/s².
    "land_vehicle": Motion((0.02, 2.0), (1.0, 0.0), (0.3, 0.7), (0.1, 10.0)),
    # A standard turn of 3 degrees per second at 100 m/s is 5 m/s².
    "air_vehicle": Motion((0.05, 5.0), _NO_DAMPING, _EVEN, (60.0, 60.0)),
    # Hovers (0.3 m/s in gusts) or flies.
    "uav": Motion((0.18, 3.0), (1.0, 0.0), (0.3, 0.7), (0.3, 10.0)),
    # On a steady course, or a small craft at the helm.
    "sea_vessel": Motion((0.01, 1.0), _NO_DAMPING, _EVEN, (3.0, 8.0)),
}
"""Models by class; other classes have those of unknown movers."""


def by_class(density: tuple[float, ...], speed: tuple[float, ...]) -> tuple[Motion, ...]:
    """Models of all classes, in the order of `model.taxonomy.CLASSES`.

    Parameters
    ----------
    density, speed
        (K,) of movers whose class is not known: `Settings.acceleration_density`, m²/s³, and
        `Settings.initial_speed_mps`.
    """
    unknown = Motion(density, (0.0,) * MODES, (1.0 / MODES,) * MODES, speed)
    return tuple(
        BY_CLASS[label].livelier(MODES) if label in BY_CLASS else unknown for label in CLASSES
    )


MODELLED = tuple(k for k, label in enumerate(CLASSES) if label in BY_CLASS)
"""Columns of the classes that have models of their own."""
