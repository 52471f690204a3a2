"""Log files: logged episodes as Parquet, a row a step, written and read.

Columns: `episode`, any whole number that its steps share; `step`, from 0 without a gap;
`observation`, a list of numbers; `action`, a whole number or a list of doses; `reward`; `cost`;
`probabilities`, a list with the behavior policy's probability of each action, empty where they are
not known; and, on each episode's last step alone, `terminated`, `last_observation` and any
`metric:<name>`. Rows may come in any order.

The metadata `praxis` is a JSON object with `observation_shape`, `observation_dtype` and where the
episodes come from: `env`, `env_settings`, `policy`."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.logged.episodes import Episodes
from agents.logged.log_columns import booleans, is_list, lists, metric, real, require_at_ends, whole
from agents.logged.values import (
    require_actions,
    require_all,
    require_discrete,
    require_finite,
    require_memory,
    require_observations,
    require_possible,
)

COLUMNS = (
    "episode",
    "step",
    "observation",
    "action",
    "reward",
    "cost",
    "probabilities",
    "terminated",
    "last_observation",
)
METRIC = "metric:"
MAX_OFF_ONE = 1e-4
"""How far probabilities may be from 1 in sum, by rounding."""


@dataclass(frozen=True)
class LoggedRows:
    """M steps of E whole episodes, one episode after the other, each from its first step to its
    last."""

    observations: NDArray
    """(M, ...), what was seen before each step."""
    actions: NDArray
    """(M,) int64, or doses (M, D)."""
    rewards: NDArray[np.float64]
    """(M,)."""
    costs: NDArray[np.float64]
    """(M,)."""
    probabilities: NDArray[np.float64]
    """(M, A), of each action by the behavior policy; (M, 0) where they are not known, or not
    discrete."""
    episodes: NDArray[np.int64]
    """(M,), which episode each step is of, from 0 to E - 1."""
    steps: NDArray[np.int64]
    """(M,), from 0 in each episode."""
    terminated: NDArray[np.bool_]
    """(E,), episodes that ended; time cut the others off."""
    last_observations: NDArray
    """(E, ...), what was seen after each last step."""
    metrics: dict[str, NDArray[np.float64]]
    """Of each whole episode (E,), by name; nan where it means nothing."""
    numbers: NDArray[np.int64]
    """(M,), the number of each step's row in the file, from 0."""

    @property
    def first(self) -> NDArray[np.bool_]:
        """(M,), the first step of each episode."""
        return self.steps == 0

    @property
    def last(self) -> NDArray[np.bool_]:
        """(M,), the last step of each episode."""
        return np.roll(self.first, -1)

    def side_by_side(self) -> Episodes:
        """The episodes as (T, E). Raises ValueError where the zeros after short ones would not fit
        the memory."""
        size = (int(self.steps.max()) + 1, len(self.terminated))
        columns = (self.observations, self.actions, self.rewards, self.costs, self.probabilities)
        of_a_step = sum(column.nbytes for column in columns) / len(self.steps)
        require_memory(
            int(math.prod(size) * of_a_step),
            f"{size[1]:,} episodes side by side, the longest of {size[0]:,} steps,",
        )

        def laid_out(column: NDArray) -> NDArray:
            table = np.zeros((*size, *column.shape[1:]), column.dtype)
            table[self.steps, self.episodes] = column
            return table

        return Episodes(
            *map(laid_out, columns),
            alive=laid_out(np.ones(len(self.steps), np.bool_)),
            terminated=self.terminated,
            last_observations=self.last_observations,
            metrics=self.metrics,
        )


def one_after_the_other(episodes: Episodes) -> LoggedRows:
    """The steps of episodes, numbered in this order."""
    which, steps = np.nonzero(episodes.alive.T)
    return LoggedRows(
        observations=episodes.observations[steps, which],
        actions=episodes.actions[steps, which],
        rewards=episodes.rewards[steps, which],
        costs=episodes.costs[steps, which],
        probabilities=episodes.probabilities[steps, which],
        episodes=which,
        steps=steps,
        terminated=episodes.terminated,
        last_observations=episodes.last_observations,
        metrics=episodes.metrics,
        numbers=np.arange(len(steps)),
    )


def write_log(episodes: Episodes, path: Path, about: dict[str, Any]) -> None:
    """Writes a log file; `about` says in JSON where the episodes come from.

    Raises ValueError, in one line, for episodes that `read_log` would refuse; nothing is then
    written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = one_after_the_other(episodes)
    require_values(path, rows)
    described = about | {
        "observation_shape": rows.observations.shape[1:],
        "observation_dtype": str(rows.observations.dtype),
    }
    length = len(rows.steps)
    ends = np.flatnonzero(rows.last)
    columns: dict[str, Any] = {
        "episode": rows.episodes,
        "step": rows.steps,
        "observation": list(rows.observations.reshape(length, -1)),
        "action": list(rows.actions) if rows.actions.ndim > 1 else rows.actions,
        "reward": rows.rewards,
        "cost": rows.costs,
        "probabilities": list(rows.probabilities),
        "terminated": at(ends, rows.terminated.tolist(), length),
        "last_observation": at(ends, list(rows.last_observations.reshape(len(ends), -1)), length),
    }
    columns |= {
        f"{METRIC}{name}": at(ends, values.tolist(), length)
        for name, values in rows.metrics.items()
    }
    table = pa.table(columns).replace_schema_metadata({"praxis": json.dumps(described)})
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".writing-{path.name}")
    pq.write_table(table, beside, write_page_checksum=True)
    beside.replace(path)


def at(ends: NDArray[np.int64], values: list[Any], length: int) -> list[Any]:
    """A column of this length with the values in these rows, and None in the others."""
    column = [None] * length
    for row, value in zip(ends, values, strict=True):
        column[row] = value
    return column


def read_log(path: Path) -> tuple[Episodes, dict[str, Any]]:
    """The episodes of a log file, in the order of their ids, and what its metadata says of them.

    Raises ValueError, in one line, for any other file: with the column, the row and the value that
    is wrong."""
    rows, about = read_rows(path)
    return rows.side_by_side(), about


def read_rows(path: Path) -> tuple[LoggedRows, dict[str, Any]]:
    """As `read_log`, with the steps one after the other."""
    about = read_about(path)
    with unreadable_is_no_log(path):
        table = parquet_file(path).read()
    for name in COLUMNS:
        count = table.column_names.count(name)
        if count != 1:
            raise ValueError(f"{path} must have one column '{name}', and has {count}.")
    if not table.num_rows:
        raise ValueError(f"{path} has no rows: no step was logged.")
    shape = observation_shape(path, about)
    order, episodes, steps = ordered(
        path, whole(path, table, "episode"), whole(path, table, "step")
    )
    last = np.append(episodes[1:] != episodes[:-1], True)
    numbers_at_ends = order[last]

    def of_steps(name: str, width: int | None = None) -> NDArray:
        return lists(path, name, table.column(name), np.arange(table.num_rows), width)[order]

    def of_ends(name: str) -> Any:
        column = table.column(name)
        require_at_ends(path, name, column, order, last)
        return column.take(numbers_at_ends)

    width = math.prod(shape)
    observations = of_steps("observation", width)
    if str(observations.dtype) != about["observation_dtype"]:
        raise ValueError(
            f"{path}: observation is {observations.dtype}, but the metadata says "
            f"{about['observation_dtype']!r}."
        )
    lasts = lists(path, "last_observation", of_ends("last_observation"), numbers_at_ends, width)
    if lasts.dtype != observations.dtype:
        raise ValueError(
            f"{path}: last_observation is {lasts.dtype}, but observation is {observations.dtype}."
        )
    doses = is_list(table.column("action").type)
    metrics = [name for name in table.column_names if name.startswith(METRIC)]
    rows = LoggedRows(
        observations=observations.reshape(-1, *shape),
        actions=of_steps("action") if doses else whole(path, table, "action")[order],
        rewards=real(path, table, "reward")[order],
        costs=real(path, table, "cost")[order],
        probabilities=of_steps("probabilities").astype(np.float64),
        episodes=episodes,
        steps=steps,
        terminated=booleans(path, "terminated", of_ends("terminated")),
        last_observations=lasts.reshape(-1, *shape),
        metrics={
            name.removeprefix(METRIC): metric(path, table, name, order, last) for name in metrics
        },
        numbers=order,
    )
    require_values(path, rows)
    return rows, about


def require_values(path: object, rows: LoggedRows) -> None:
    """Raises ValueError, with the column, the row and the value, for what no episode can have."""
    ends = rows.numbers[rows.last]
    numbers = rows.numbers
    require_finite(path, "observation", rows.observations, numbers)
    require_finite(path, "last_observation", rows.last_observations, ends)
    require_finite(path, "reward", rows.rewards, numbers)
    require_finite(path, "cost", rows.costs, numbers)
    require_finite(path, "action", rows.actions, numbers)
    for name, values in rows.metrics.items():
        require_all(
            ~np.isinf(values),
            path,
            f"{METRIC}{name}",
            values,
            ends,
            "finite, or NaN where it means nothing",
        )
    probabilities = rows.probabilities
    number = rows.probabilities.shape[1]
    if not number:
        return
    possible = (probabilities >= 0) & (probabilities <= 1)
    require_all(possible, path, "probabilities", probabilities, numbers, "between 0 and 1")
    total = probabilities.sum(1)
    require_all(
        np.abs(total - 1) <= MAX_OFF_ONE, path, "the sum of probabilities", total, numbers, "1"
    )
    require_discrete(path, "action", rows.actions, numbers, 0, number)
    taken = probabilities[np.arange(len(probabilities)), rows.actions]
    require_all(
        taken > 0,
        path,
        "the probability of the action",
        taken,
        numbers,
        "above 0, for it was taken",
    )


def require_spaces(
    path: object,
    rows: LoggedRows,
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
) -> None:
    """Raises ValueError unless these spaces have all observations and actions of a log, and its
    probabilities are of as many actions."""
    ends = rows.numbers[rows.last]
    require_observations(path, "observation", rows.observations, rows.numbers, observation_space)
    require_observations(path, "last_observation", rows.last_observations, ends, observation_space)
    require_actions(path, "action", rows.actions, rows.numbers, action_space)
    require_possible(
        path, "action", rows.actions, rows.numbers, rows.observations, observation_space
    )
    number = rows.probabilities.shape[1]
    if isinstance(action_space, Discrete) and number not in (0, action_space.n):
        raise ValueError(
            f"{path} has probabilities of {number} actions, but there are {action_space.n}."
        )


def ordered(
    path: Path, ids: NDArray[np.int64], steps: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rows in the order of episodes and their steps, then the number of each one's episode and
    its step, (M,) each.

    Raises ValueError where a step is there twice or is missing."""
    order = np.lexsort((steps, ids))
    ids = ids[order]
    steps = steps[order]
    begins = np.append(True, ids[1:] != ids[:-1])
    episodes = np.cumsum(begins) - 1
    expected = np.arange(len(ids)) - np.flatnonzero(begins)[episodes]
    if (steps == expected).all():
        return order, episodes, expected
    wrong = int((steps != expected).argmax())
    row = order[wrong]
    step = steps[wrong]
    if not begins[wrong] and step == steps[wrong - 1]:
        raise ValueError(
            f"{path}: step is {step} of episode {ids[wrong]} in row {row} and in row "
            f"{order[wrong - 1]}; logs that are "
            "joined must not share ids in their column 'episode'."
        )
    raise ValueError(
        f"{path}: step is {step} in row {row}, where episode {ids[wrong]} must have step "
        f"{expected[wrong]}; an episode "
        "is logged from step 0 to its end without a gap."
    )


@contextmanager
def unreadable_is_no_log(path: Path) -> Iterator[None]:
    """Raises ValueError, in one line, for whatever the block raises at a damaged or foreign
    file."""
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, TypeError, RecursionError, pa.ArrowException) as damage:
        reason = " ".join(str(damage).split())
        raise ValueError(
            f"{path} holds no logged episodes ({reason}); scripts/log_episodes.py makes them."
        ) from damage


def read_about(path: Path) -> dict[str, Any]:
    """What a log file's metadata says of it. Raises ValueError, in one line, for any other file."""
    with unreadable_is_no_log(path):
        described = (parquet_file(path).schema_arrow.metadata or {}).get(b"praxis")
        if described is None:
            raise ValueError("its metadata has no 'praxis'")
        about = json.loads(described, parse_constant=refuse_constant)
        if not isinstance(about, dict):
            raise ValueError("its metadata 'praxis' is no JSON object")
    return about


def parquet_file(path: Path) -> Any:
    """A Parquet file whose checksums are verified as it is read. Raises ValueError where there is
    no file."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ValueError("there is no such file")
    return pq.ParquetFile(path, page_checksum_verification=True)


def refuse_constant(constant: str) -> float:
    """Raises ValueError for NaN and infinities, which JSON has not, although Python reads them."""
    raise ValueError(f"its metadata 'praxis' has the number {constant}")


def observation_shape(path: Path, about: dict[str, Any]) -> tuple[int, ...]:
    """The shape of one observation, as the metadata says. Raises ValueError where it says no shape
    or no dtype's name."""
    shape = about.get("observation_shape")
    dtype = about.get("observation_dtype")
    sizes = shape if isinstance(shape, list) else [None]
    if not isinstance(dtype, str) or any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(
            f"{path}: the metadata says observation_shape {shape!r} and observation_dtype "
            f"{dtype!r}; they must be a "
            "list of whole numbers and a name such as 'float32'."
        )
    return tuple(size for size in sizes if size is not None)
