"""Every constant of fusion, with its unit and where it comes from.

They are set once, by physics and by each sensor's own description, never per scenario.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from fusion.motions import Motion, by_class
from fusion.records import MODES, PARTS
from model.arrays import Array
from model.time import NS_PER_S


@dataclass(frozen=True, slots=True)
class Settings:
    """Constants of the tracker.

    Parameters
    ----------
    acceleration_density
        Power spectral density of white acceleration, m²/s³, per horizontal axis, of each mode of
        motion (Bar-Shalom, Li, Kirubarajan 2001, section 6.2.2, doi:10.1002/0471221279). The last
        is where learning begins (`fusion.habits`).
    density_information
        How sure the last density is: one over the variance of its logarithm. 2: a factor of two
        either way is one standard deviation.
    density_memory
        Information of the past that is kept about it, in the same unit.
    sojourn_s
        Mean time that a mover stays in one mode, s.
    climb_density
        The same of the vertical axis, m²/s³.
    initial_speed_mps
        One standard deviation, per axis, of the velocity of a mover just found, by mode: who walks
        or drifts, and who drives or flies. Where learning begins (`fusion.habits`).
    habit_tracks
        Tracks that these speeds, and modes of equal shares, weigh against those that are shown.
    initial_climb_mps
        The same of its climb rate.
    gate
        Largest squared Mahalanobis distance of a pair, per two dimensions: 16 lets through
        0.99966 of true pairs (chi-square, 2 degrees of freedom).
    gate_probability
        That probability.
    greatest_pd
        Misses come in runs (shadow, aspect, two targets in one cell), so none is charged as if the
        probability of detection were greater.
    bearing_gate
        Largest squared normalised innovation of a bearing (chi-square, 1 degree).
    bearing_correlation_s
        Time over which the errors of a camera's bearings stay the same, s: mounting, lens and the
        box that is drawn about an extended target do not change from frame to frame. A bearing
        that comes T after the last from the same sensor weighs as T/this of an independent one.
    bearing_look_s
        Frames of a camera that follow nearer than this on the last that a track took are the same
        look, s: errors of boxes hardly change within it.
    bearing_worth
        Least part of the variance of its azimuth by which bearings must sharpen a track that has
        places: half says that they are better than what is known. Below, what is the same in all
        their errors would outweigh it.
    bearing_existence_s
        As `bearing_correlation_s`, of what a bearing says of existence: what a camera takes for a
        mover it takes again.
    bearing_cap_llr
        Log-odds of existence beyond which bearings raise no track.
    bearing_lift
        Greatest log-odds that bearings give a track until a place is fused again.
    bearing_hits
        Places that must have been fused before bearings say that a track is there.
    bearing_known
        How well the distance of a track must be known, as a part of it: of a track of which
        nobody knows how far away it is each mover behind or before it would speak.
    crossing_s
        Bearings that point at no track are kept so long for others to cross them, s.
    crossing_base_m
        Nearer to each other than this two places are one to bearings that cross, m: what a ship
        or a mast sways by tells no distance.
    miss_correlation_s
        Time over which misses are one and the same, s (a shadow, a pose): a miss of a sensor of
        period T weighs as T/this of an independent one.
    lifetime_s
        Mean time after which a mover that a sensor looks at is there no more, s.
    new_density_m2
        Movers not known yet that a look brings out, per square metre, where one has looked before.
    new_share
        The least that this is taken to be, as a part of the sensor's clutter.
    unseen_density_m2, unseen_share
        The same of the first look of a sensor; each look takes its share of them.
    clutter_worth
        False detections that the clutter density of the wider surroundings is worth at a place.
    clutter_prior_looks
        Looks that the description of a sensor's clutter is worth at most.
    clutter_least_part
        Part of the described clutter density that no learned one falls below. At 1 a description
        is corrected upwards only: what is new over open water would be shown sooner at less, and
        so would what returns there by chance.
    learned_s
        Time after which what was learned of a sensor's surroundings weighs 1/e, s.
    seen_worth
        Expected detections that the described probability of detection is worth in a ring.
    sure_hits
        Detections after which a track that is shown is held against a sensor that misses it.
    shadow_part
        Part of the probability of detection that is left behind another mover.
    confirm_llr
        Log-odds at which a track is confirmed.
    cap_llr
        Log-odds never rise above it, so that a track that ends can be let go.
    moved_sigmas
        How many standard deviations from where it was first seen a track must be to have moved.
    still_s
        A track that has not moved after so long, and that no sensor names or classifies, is not
        shown until it does, s.
    drop_llr
        Log-odds below which a confirmed track is lost.
    tentative_drop_llr
        Log-odds below which a tentative track is dropped.
    confirm_hits
        Detections that a track needs before it may be confirmed.
    identity_gate
        Gate of a detection against the track that bears its identity. What lies beyond is a jump:
        twenty standard deviations are farther than the mover can have gone.
    doubt_s
        An identity is doubted until it was said for so long without a contradiction, s: twice the
        longest interval at which movers under way report themselves (AIS class B, 30 s:
        ITU-R M.1371-5, annex 1, table 2).
    coast_periods
        A track coasts when the most frequent of its sensors has been silent this many periods.
    lost_periods
        A track is lost when all its sensors have been silent this many of the longest period.
    least_coast_s
        But never before so many seconds.
    least_lost_s, tentative_lost_s
        But never before so many seconds; tentative tracks at the second.
    lost_sigma_m
        A track whose position is not known better than this is lost.
    fresh_periods
        A mover that reported itself within so many periods is not charged misses: a radar that
        does not see it stands in a shadow.
    stand_s, stand_rows
        A late report that is no later than the first is taken in where it stands, without fusing
        what came after it again, if that would touch more rows of tracks than the second: so
        little later nobody belongs to anybody else.
    replay_rows
        And any report is, if it would touch more rows than this: work is bounded.
    checkpoint_every
        Reports between two checkpoints for late reports, at least; and many more rows than the
        table has were touched between them.
    max_checkpoints, max_checkpoint_rows, max_history
        Bounds of what is kept for late reports: checkpoints, rows of tracks in them, and reports.
    bias_sigmas
        What is thought of the biases of a sensor that nothing is known of: standard deviations in
        range m, azimuth rad, time s, and place m per axis. Alignment by compass is right to about
        half a degree, delays in processing reach seconds, a place is from satellites (GPS Standard
        Positioning Service Performance Standard 2020: 8 m at 95 %, so 3 m per axis).
    bias_drift
        How far each wanders, the same after one second, growing with the root of time: 3 m, 0.07
        degrees, 12 ms and 0.6 m in an hour.
    bias_span_s
        Detections of one mover within so long are held against each other, s.
    bias_contradiction
        Squared residual per degree of freedom beyond which they are not of one mover that goes
        straight.
    bias_refusals
        After so many contradictions in a row, or reports of which nothing fits any more, a
        sensor's bias is taken to have changed.
    bias_apply, bias_release
        Squared bias in units of its covariance (chi-square, 5 degrees of freedom) from which it is
        taken off the sensor's detections, and below which that ends: 40 is chance once in 7
        million.
    bias_least
        Part of the sensor's own noise below which a bias is let be.
    publish_existence
        Smallest change of existence that is worth an update by itself.
    """

    acceleration_density: tuple[float, ...] = (0.02, 2.0)[-MODES:]
    density_information: float = 2.0
    density_memory: float = 30.0
    habit_tracks: float = 10.0
    sojourn_s: float = 20.0
    climb_density: float = 0.1
    initial_speed_mps: tuple[float, ...] = (1.5, 15.0)[-MODES:]
    initial_climb_mps: float = 2.0
    gate: float = 16.0
    gate_probability: float = 0.99966
    greatest_pd: float = 0.9
    bearing_gate: float = 9.0
    bearing_correlation_s: float = 30.0
    bearing_look_s: float = 0.5
    bearing_worth: float = 0.5
    bearing_existence_s: float = 3.0
    bearing_cap_llr: float = 3.0
    bearing_lift: float = 2.0
    bearing_hits: int = 3
    bearing_known: float = 0.2
    crossing_s: float = 5.0
    crossing_base_m: float = 20.0
    miss_correlation_s: float = 1.0
    lifetime_s: float = 300.0
    new_density_m2: float = 2e-8
    new_share: float = 0.012
    unseen_density_m2: float = 4e-6
    unseen_share: float = 0.3
    clutter_worth: float = 3.0
    clutter_prior_looks: float = 50.0
    clutter_least_part: float = 1.0
    learned_s: float = 100.0
    seen_worth: float = 6.0
    sure_hits: int = 10
    shadow_part: float = 0.3
    confirm_llr: float = 1.5
    cap_llr: float = 8.0
    moved_sigmas: float = 3.5
    still_s: float = 20.0
    drop_llr: float = 0.0
    tentative_drop_llr: float = -6.5
    confirm_hits: int = 2
    identity_gate: float = 400.0
    doubt_s: float = 60.0
    coast_periods: float = 2.5
    least_coast_s: float = 1.0
    lost_periods: float = 12.0
    least_lost_s: float = 15.0
    tentative_lost_s: float = 10.0
    lost_sigma_m: float = 500.0
    fresh_periods: float = 3.0
    stand_s: float = 0.25
    stand_rows: int = 256
    replay_rows: int = 4_096
    checkpoint_every: int = 4
    max_checkpoints: int = 256
    max_checkpoint_rows: int = 200_000
    max_history: int = 20_000
    bias_sigmas: tuple[float, ...] = (30.0, 0.01, 1.0, 3.0, 3.0)
    bias_drift: tuple[float, ...] = (0.05, 2e-5, 2e-4, 0.01, 0.01)
    bias_span_s: float = 12.0
    bias_contradiction: float = 3.0
    bias_refusals: int = 8
    bias_apply: float = 40.0
    bias_release: float = 12.0
    bias_least: float = 0.2
    publish_existence: float = 0.02

    @property
    def record(self) -> Array:
        """(1,) all of them as a record, for kernels."""
        return _record(self)


_BY_PART = ("bias_sigmas", "bias_drift")
"""Settings that have one value for each part of a bias; all other tuples have one by mode."""


@lru_cache(maxsize=16)
def _record(settings: Settings) -> Array:
    kinds: list[Any] = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if not isinstance(value, tuple):
            kinds.append((field.name, "i8" if field.type is int else "f8"))
            continue
        length = PARTS if field.name in _BY_PART else MODES
        if len(value) != length:
            raise ValueError(f"Settings.{field.name}: {len(value)} values, not {length}")
        kinds.append((field.name, "f8", (length,)))
    motions = by_class(settings.acceleration_density, settings.initial_speed_mps)
    kinds += [(f"motion_{field.name}", "f8", (len(motions), MODES)) for field in fields(Motion)]
    record = np.zeros(1, np.dtype(kinds, align=True))
    for field in fields(settings):
        record[field.name][0] = getattr(settings, field.name)
    for field in fields(Motion):
        record[f"motion_{field.name}"][0] = [getattr(motion, field.name) for motion in motions]
    return record


MOST_REGISTERED = 48
"""Sensors whose biases are estimated together: the work grows with the square of their number."""

LEAST_CLUTTER_DENSITY_M2 = 1e-9
"""Clutter density of a sensor that has none: one per 1,000 km²; keeps likelihood ratios finite."""

NEW_TARGET_SPREAD_M = 1.0
"""Least standard deviation of a measurement, m: no sensor and no survey is better at long range."""

LOWEST_M = 1_000.0
"""How deep below the ellipsoid anything may lie, m: the Dead Sea's shore is at -430."""

LEAST_HEIGHT_SIGMA_M = 0.1
"""Least standard deviation of a measured height, m."""

MAX_SPEED_MPS = 400.0
"""Fastest mover looked for when candidates are picked, m/s (jet aircraft below Mach 1.2)."""

RATE_SPAN_MPS = 60.0
"""Span over which the range rates of clutter are spread, m/s: moving clutter is vegetation, rain
and traffic that nobody looks for."""

CLASS_CONFLICT = 0.02
"""Least likelihood of a detection's class under a track's: classifiers err."""

LINE_SIGMA_M = 2.0
"""Standard deviation across a trip line, m: the width of a vehicle."""

NANO = 1.0 / NS_PER_S
"""Seconds per nanosecond."""
