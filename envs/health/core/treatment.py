"""Treatments as environments: how a patient is observed, and gymnasium's interfaces to one patient
and to many."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from common.info import ACTION_MASK, EPISODE_METRICS
from common.policy import Policy
from common.ranges import Count, FractionBelowOne, NonNegative, check_ranges
from envs.health.core.chart import beside, drawn
from envs.health.core.cohorts import Cohort
from envs.health.core.notes import NOTE_BYTES, described, in_bytes
from envs.health.core.simulation import Outcome, Simulation
from envs.masks import OBSERVATION

USUAL_PATIENTS, USUAL_STEPS = 200, 10
"""From how many patients, and steps of each, the usual readings are computed."""
Observations = NDArray | dict[str, NDArray]
"""What is seen of each patient (N, ...), or its parts by name."""
OBSERVATION_SETTINGS = ("partial", "noise", "missing", "history", "notes")
"""Settings of what is seen. Actions at random do not look, so that their mean return is the same
with any of these."""


@dataclass(frozen=True)
class TreatmentConfig:
    """What every treatment can be made harder by. An own field `step_hours` says how often is
    decided."""

    slug: ClassVar[str]
    """What users type after --env; gymnasium knows it as health/<slug>-v0."""
    random_return: ClassVar[float | None] = None
    """Mean return of actions by chance, with the default settings."""
    usual_care: ClassVar[str] = "standard of care"
    """Which of the baselines clinicians follow; a report compares with it."""

    cohort: Cohort = "train"
    """Who is treated: the patient that was published, patients to train on, others of the same
    population, or patients of another population."""
    partial: bool = False
    """Hides the readings that a clinic does not have; they are zero."""
    noise: NonNegative = 0.0
    """Standard deviation of a reading's error, as a fraction of the standard deviation of the
    reading itself."""
    missing: FractionBelowOne = 0.0
    """Fraction of the readings that are not taken; the one before stands for it."""
    history: Count = 1
    """How many readings an observation has, side by side, the newest last; before the first one are
    zeros."""
    cost_weight: NonNegative = 0.0
    """What a cost of 1 takes off the reward, so that an agent learns to keep to what is allowed."""
    action_mask: bool = False
    """Takes no action that is not allowed: which ones are is a part of the observation. Else an action
    that is not allowed costs 1, and something else is done."""
    notes: bool = False
    """Tells the readings in words, what is unusual of them, instead of as numbers; for --encoder
    notes."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.notes and self.history > 1:
            raise ValueError(
                "notes tell the newest readings: --env.history 1, and let --memory lstm remember."
            )
        if self.action_mask and (self.noise or self.missing or self.partial):
            raise ValueError(
                "action_mask says what follows from readings without errors and gaps; leave out "
                "noise, missing and partial, or action_mask."
            )

    @property
    def name(self) -> str:
        return self.slug

    @property
    def kind(self) -> str:
        return f"treatment:{self.slug}"

    @property
    def reference_scores(self) -> dict[str, float]:
        as_measured = replace(
            type(self)(), **{name: getattr(self, name) for name in OBSERVATION_SETTINGS}
        )
        return (
            {}
            if self.random_return is None or self != as_measured
            else {"random": self.random_return}
        )

    @property
    def frame_stack(self) -> int:
        return 1

    def simulation(self, patients: int) -> Simulation:
        """The equations for so many patients."""
        raise NotImplementedError

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        """What clinicians do, chance, and no treatment: each is made for a simulation, of which
        only one that is called an oracle sees more than the observations."""
        raise NotImplementedError

    def build(self) -> gymnasium.Env:
        return Patient(self)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return Patients(self, num_envs)


ONE = np.ones(1, np.bool_)


class Ward:
    """Patients under treatment, as they are seen: with errors and gaps, and what was forbidden
    replaced."""

    def __init__(self, config: TreatmentConfig, patients: int) -> None:
        self.config = config
        self.simulation = config.simulation(patients)
        space = self.simulation.observation_space
        self.seen = np.zeros((patients, config.history, *space.shape), space.dtype)
        self.costs = np.zeros(patients)
        low, high = (np.concatenate([bound] * config.history) for bound in (space.low, space.high))
        self.observation_space = Box(low, high, dtype=space.dtype.type)  # pyright: ignore
        if config.notes:
            if len(space.shape) > 1:
                raise ValueError(f"{config.name} shows images, which notes do not tell.")
            self.usual = usual_readings(
                replace(
                    config,
                    notes=False,
                    action_mask=False,
                    cohort="train",
                    noise=0.0,
                    missing=0.0,
                    partial=False,
                )
            )
            self.observation_space = Box(0, 255, (NOTE_BYTES,), np.uint8)
        if config.action_mask:
            self.observation_space = self._with_mask(self.observation_space)

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        """Admits new patients in these rows; their costs are 0, their history zeros until the first
        reading."""
        self.simulation.admit(rows, random)
        self.costs[rows] = 0
        self.seen[rows] = 0
        self.seen[rows, -1] = self._read(random)[rows]

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        """An action that is not allowed costs 1, and the fallback is done."""
        allowed = self.simulation.allowed()
        forbidden = np.zeros(len(self.costs), np.bool_)
        if allowed is not None:
            forbidden = ~allowed[np.arange(len(actions)), actions]
            actions = np.where(forbidden, self.simulation.fallback(), actions)
        outcome = self.simulation.treat(actions, random)
        costs = outcome.costs + forbidden
        outcome = outcome._replace(
            rewards=outcome.rewards - self.config.cost_weight * costs, costs=costs
        )
        self.costs += outcome.costs
        # An image is missing as a whole, a vector number by number.
        space = self.simulation.observation_space
        shape = space.shape if len(space.shape) == 1 else (1,) * len(space.shape)
        read = self._read(random)
        newest = self.seen[:, -1].copy()
        if self.config.missing:
            # What does not vary is known without measuring, such as what was given.
            gone = (random.random((len(read), *shape)) < self.config.missing) & (
                self.simulation.spread > 0
            )
            read = np.where(gone, newest, read)
        self.seen = np.roll(self.seen, -1, 1)
        self.seen[:, -1] = read
        return outcome

    def observations(self) -> Observations:
        """What is seen, and with it which actions are allowed (N, A), where the mask is shown."""
        if not self.config.action_mask:
            return self.seen_now()
        seen = self.seen_now()
        allowed = self.simulation.allowed()
        assert allowed is not None
        return {OBSERVATION: seen, ACTION_MASK: allowed.astype(seen.dtype)}

    def seen_now(self) -> NDArray:
        """The readings, or notes of them in UTF-8 (N, NOTE_BYTES)."""
        if self.config.notes:
            shown = (
                ~self.simulation.hidden
                if self.config.partial
                else np.ones(len(self.simulation.names), np.bool_)
            )
            names = tuple(
                name
                for name, is_shown in zip(self.simulation.names, shown, strict=True)
                if is_shown
            )
            mean, deviation = (values[shown] for values in self.usual)
            return in_bytes(described(names, self.seen[:, -1][:, shown], mean, deviation))
        return self.readings()

    def readings(self) -> NDArray:
        """(N, history * O), or images side by side as channels."""
        patients, history, *shape = self.seen.shape
        return self.seen.reshape(patients, history * shape[0], *shape[1:]).copy()

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """The simulation's, and the sum of the costs."""
        return self.simulation.metrics() | {"cost": self.costs.copy()}

    def _with_mask(self, space: Box) -> Dict:
        """What is seen, and the mask beside it."""
        allowed = self.simulation.allowed()
        if allowed is None:
            raise ValueError(
                f"{self.config.name} allows every action; leave out --env.action-mask."
            )
        mask = Box(0, 1, allowed.shape[1:], space.dtype.type)  # pyright: ignore
        return Dict({OBSERVATION: space, ACTION_MASK: mask})

    def _read(self, random: np.random.Generator) -> NDArray:
        space = self.simulation.observation_space
        read = self.simulation.observe()
        if self.config.noise:
            read = read + self.config.noise * self.simulation.spread * random.standard_normal(
                read.shape
            )
        read = np.clip(read, space.low, space.high).astype(space.dtype)
        return (
            np.where(self.simulation.hidden, np.zeros((), space.dtype), read)
            if self.config.partial
            else read
        )


@lru_cache
def usual_readings(config: TreatmentConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each reading (O,), of patients who are treated at random."""
    env = config.build_vector(USUAL_PATIENTS)
    readings = [env.reset(seed=0)[0]]
    env.action_space.seed(0)
    readings += [env.step(env.action_space.sample())[0] for _ in range(USUAL_STEPS)]
    table = np.concatenate(readings).astype(np.float64)
    # What never varies must not make `described` divide by zero.
    return table.mean(0), np.maximum(table.std(0), 1e-6)


def one_by_one(observations: Observations, rows: NDArray[np.bool_]) -> NDArray:
    """The observation of each patient (N, ...); where it has parts, those by name (N,) of these rows
    (N,), and None for the others."""
    if not isinstance(observations, dict):
        return observations
    apart = np.full(len(rows), None)
    for row in np.flatnonzero(rows):
        apart[row] = {name: part[row] for name, part in observations.items()}
    return apart


class Patients(VectorEnv):
    """Many patients in step; who is discharged is followed by a new one in the same step.

    Its `info` has `cost` and, where actions are not all allowed, `action_mask`; `final_info` has
    `episode_metrics`."""

    metadata: ClassVar[dict[str, Any]] = {
        "autoreset_mode": AutoresetMode.SAME_STEP,
        "render_modes": [],
    }

    def __init__(self, config: TreatmentConfig, num_envs: int) -> None:
        self.num_envs = num_envs
        self.ward = Ward(config, num_envs)
        self.single_observation_space = self.ward.observation_space
        self.single_action_space = self.ward.simulation.action_space
        self.observation_space = gymnasium.vector.utils.batch_space(
            self.single_observation_space, num_envs
        )
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        super().reset(seed=seed[0] if isinstance(seed, list) else seed)
        self.ward.admit(np.arange(self.num_envs), self.np_random)
        return self.ward.observations(), self._masks()

    def step(
        self, actions: NDArray
    ) -> tuple[Observations, NDArray, NDArray, NDArray, dict[str, Any]]:
        outcome = self.ward.treat(np.asarray(actions), self.np_random)
        info: dict[str, Any] = {"cost": outcome.costs, "_cost": np.ones(self.num_envs, np.bool_)}
        over = outcome.terminated | outcome.truncated
        if over.any():
            told: dict[str, Any] = {}
            for name, values in self.ward.metrics().items():
                told |= {name: values, f"_{name}": over & ~np.isnan(values)}
            # What those who leave were last seen with; their successors are admitted below.
            last = one_by_one(self.ward.observations(), over)
            info |= {"final_obs": last, "_final_obs": over, "_final_info": over}
            info["final_info"] = {EPISODE_METRICS: told, f"_{EPISODE_METRICS}": over}
            self.ward.admit(np.flatnonzero(over), self.np_random)
        return (
            self.ward.observations(),
            outcome.rewards,
            outcome.terminated,
            outcome.truncated,
            info | self._masks(),
        )

    def _masks(self) -> dict[str, Any]:
        allowed = self.ward.simulation.allowed()
        return (
            {}
            if allowed is None
            else {ACTION_MASK: allowed, f"_{ACTION_MASK}": np.ones(self.num_envs, np.bool_)}
        )


class Patient(gymnasium.Env):
    """One patient; drawn as a chart of what was measured and done since admission, beside the
    newest image if any.

    Its `info` has `cost` and, where actions are not all allowed, `action_mask`; at the end
    `episode_metrics`."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, config: TreatmentConfig, render_mode: str | None = "rgb_array") -> None:
        self.render_mode = render_mode
        self.ward = Ward(config, 1)
        self.observation_space = self.ward.observation_space
        self.action_space = self.ward.simulation.action_space
        self.told: list[tuple[float, ...]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray, dict[str, Any]]:
        super().reset(seed=seed)
        self.ward.admit(np.arange(1), self.np_random)
        self.told = [self.ward.simulation.vitals()]
        return one_by_one(self.ward.observations(), ONE)[0], self._mask()

    def step(self, action: Any) -> tuple[NDArray, float, bool, bool, dict[str, Any]]:
        outcome = self.ward.treat(np.asarray(action)[None], self.np_random)
        self.told.append(self.ward.simulation.vitals())
        info: dict[str, Any] = {"cost": float(outcome.costs[0])} | self._mask()
        terminated = bool(outcome.terminated[0])
        truncated = bool(outcome.truncated[0])
        if terminated or truncated:
            metrics = ((name, float(values[0])) for name, values in self.ward.metrics().items())
            info[EPISODE_METRICS] = {name: value for name, value in metrics if not np.isnan(value)}
        return (
            one_by_one(self.ward.observations(), ONE)[0],
            float(outcome.rewards[0]),
            terminated,
            truncated,
            info,
        )

    def render(self) -> NDArray[np.uint8]:  # pyright: ignore
        chart = drawn(
            self.ward.simulation.panels, np.array(self.told), self.ward.simulation.step_hours
        )
        # Images have five axes: patients, history, channels, height and width.
        return beside(chart, self.ward.seen[0, -1]) if self.ward.seen.ndim == 5 else chart

    def _mask(self) -> dict[str, Any]:
        allowed = self.ward.simulation.allowed()
        return {} if allowed is None else {ACTION_MASK: allowed[0].astype(np.int8)}
