"""Simulate the vital signs of a patient, one second at a time.

Each sign wanders around a target as an Ornstein-Uhlenbeck process does: noise pushes it, the body
pulls it back. What belongs together moves together: fever raises heart rate by 8 beats per minute
and breathing by 2.5 breaths per minute for each degree (Liebermeister's rule), a fall of oxygen
saturation drives both up, and blood pressure follows the heart. Now and then an episode begins
(exertion, a fall of saturation, a fever), builds up and passes.

Sans-I/O: the caller owns the clock and the random source. Numbers are for a demonstration and
say nothing about any person.
"""

from dataclasses import dataclass, field
from math import exp
from random import Random
from typing import Final

__all__ = ["Baseline", "PatientModel", "VitalSigns"]


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """What a bedside monitor shows.

    Attributes:
        heart_rate: Beats per minute.
        respiration: Breaths per minute.
        saturation: Oxygen saturation (SpO2), percent.
        systolic: Arterial pressure, mmHg.
        diastolic: Arterial pressure, mmHg.
        temperature: Degrees Celsius, one decimal.
    """

    heart_rate: int
    respiration: int
    saturation: int
    systolic: int
    diastolic: int
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The resting values of one person, units as in :class:`VitalSigns`."""

    heart_rate: float = 74.0
    respiration: float = 15.0
    saturation: float = 97.0
    systolic: float = 124.0
    diastolic: float = 78.0
    temperature: float = 36.8


@dataclass(frozen=True, slots=True, eq=False)
class _Episode:
    """Something that shifts the targets for a while; ``shift`` holds its effect at the peak."""

    shift: dict[str, float]
    duration_s: float
    per_day: float


_EPISODES: Final = (
    _Episode({"heart_rate": 24, "respiration": 6, "systolic": 18, "diastolic": 6}, 180, 60),
    _Episode({"saturation": -7.5}, 150, 40),
    _Episode({"temperature": 1.8}, 5_400, 3),
)
_DAY_S: Final = 86_400.0

# sign: (seconds back to the target, spread around it, lowest, highest)
_DYNAMICS: Final = {
    "heart_rate": (8.0, 2.2, 30.0, 190.0),
    "respiration": (12.0, 0.9, 4.0, 45.0),
    "saturation": (15.0, 0.6, 70.0, 100.0),
    "systolic": (25.0, 3.0, 65.0, 230.0),
    "diastolic": (25.0, 2.0, 35.0, 130.0),
    "temperature": (900.0, 0.05, 34.0, 41.5),
}
_BEATS_PER_DEGREE: Final = 8.0
_BREATHS_PER_DEGREE: Final = 2.5
_BEATS_PER_LOST_PERCENT: Final = 2.0
_BREATHS_PER_LOST_PERCENT: Final = 1.0


@dataclass(slots=True)
class PatientModel:
    """One simulated patient.

    Args:
        baseline: Resting values.
        random_source: Where noise and episodes come from.
    """

    baseline: Baseline
    random_source: Random
    _signs: dict[str, float] = field(init=False)
    _running: dict[_Episode, float] = field(default_factory=dict["_Episode", float], init=False)

    def __post_init__(self) -> None:
        """Begin at rest."""
        self._signs = {sign: getattr(self.baseline, sign) for sign in _DYNAMICS}

    def advance(self, seconds: float = 1.0) -> VitalSigns:
        """Let time pass and read the monitor.

        Args:
            seconds: Time since the last reading; above 0.
        """
        self._pass_episodes(seconds)
        targets = self._targets()
        for sign, (return_s, spread, lowest, highest) in _DYNAMICS.items():
            kept = exp(-seconds / return_s)
            noise = self.random_source.gauss(0.0, spread * (1 - kept * kept) ** 0.5)
            value = targets[sign] + (self._signs[sign] - targets[sign]) * kept + noise
            self._signs[sign] = min(highest, max(lowest, value))
        return self._reading()

    def _pass_episodes(self, seconds: float) -> None:
        for episode in _EPISODES:
            elapsed = self._running.get(episode)
            if elapsed is None:
                if self.random_source.random() < episode.per_day * seconds / _DAY_S:
                    self._running[episode] = 0.0
            elif elapsed + seconds < episode.duration_s:
                self._running[episode] = elapsed + seconds
            else:
                del self._running[episode]

    def _targets(self) -> dict[str, float]:
        targets: dict[str, float] = {sign: getattr(self.baseline, sign) for sign in _DYNAMICS}
        for episode, elapsed in self._running.items():
            share = elapsed / episode.duration_s
            strength = 4 * share * (1 - share)  # a parabola: builds up, peaks at the middle, passes
            for sign, shift in episode.shift.items():
                targets[sign] += strength * shift
        degrees = self._signs["temperature"] - self.baseline.temperature
        lost = max(0.0, self.baseline.saturation - self._signs["saturation"])
        targets["heart_rate"] += _BEATS_PER_DEGREE * degrees + _BEATS_PER_LOST_PERCENT * lost
        targets["respiration"] += _BREATHS_PER_DEGREE * degrees + _BREATHS_PER_LOST_PERCENT * lost
        targets["systolic"] += 0.25 * (self._signs["heart_rate"] - self.baseline.heart_rate)
        return targets

    def _reading(self) -> VitalSigns:
        signs = self._signs
        systolic = round(signs["systolic"])
        return VitalSigns(
            heart_rate=round(signs["heart_rate"]),
            respiration=round(signs["respiration"]),
            saturation=round(signs["saturation"]),
            systolic=systolic,
            # Pulse pressure never vanishes, however the two wander.
            diastolic=min(round(signs["diastolic"]), systolic - 15),
            temperature=round(signs["temperature"], 1),
        )
