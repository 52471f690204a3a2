"""Odd logs: strategies of log files, sound ones and such with one fault each, and what each must be
judged as.

A sound log has episodes with any ids, some of them taken out, in rows of any order. A fault changes
one thing that no reader may take; it names the column that the refusal must tell. `FAULTS` has all
of them by name."""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gymnasium.spaces import Box, Discrete
from hypothesis import strategies as st

ACTIONS = 3
WIDTH = 2
SPACES = Box(-100.0, 100.0, (WIDTH,), np.float32), Discrete(ACTIONS)
"""Of observations and actions of all logs here."""
KINDS: dict[str, pa.DataType] = {
    "episode": pa.int64(),
    "step": pa.int64(),
    "observation": pa.list_(pa.float32()),
    "action": pa.int64(),
    "reward": pa.float64(),
    "cost": pa.float64(),
    "probabilities": pa.list_(pa.float64()),
    "terminated": pa.bool_(),
    "last_observation": pa.list_(pa.float32()),
    "metric:weight": pa.float64(),
}

Row = dict[str, Any]
Draw = Callable[[st.SearchStrategy], Any]


@dataclass
class OddLog:
    """A log as plain Python values."""

    rows: list[Row]
    kinds: dict[str, pa.DataType]
    """Of each column, by name."""
    metadata: bytes | None
    """JSON; None leaves it out."""
    fault: str = ""
    """The name of what is wrong; empty for a sound log."""
    named: str = ""
    """What the refusal must name."""
    twice: list[str] = field(default_factory=list)
    """Columns that the file has twice."""

    def write(self, path: Path) -> Path:
        columns = [*self.kinds, *self.twice]
        arrays = [pa.array([row[name] for row in self.rows], self.kinds[name]) for name in columns]
        table = pa.Table.from_arrays(arrays, names=columns)
        table = table.replace_schema_metadata(
            None if self.metadata is None else {"praxis": self.metadata}
        )
        pq.write_table(table, path, row_group_size=5)
        return path

    def mean_return(self) -> float:
        """Of a sound log: the sum of all rewards by the number of different ids."""
        return math.fsum(row["reward"] for row in self.rows) / self.episodes()

    def episodes(self) -> int:
        return len({row["episode"] for row in self.rows})


@st.composite
def sound_logs(draw: Draw) -> OddLog:
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    ids = draw(
        st.lists(
            st.integers(-(2**62), 2**62), min_size=len(lengths), max_size=len(lengths), unique=True
        )
    )
    rows = []
    for identity, length in zip(ids, lengths, strict=True):
        rows += [a_row(draw, identity, step, is_last=step == length - 1) for step in range(length)]
    metadata = {
        "observation_shape": [WIDTH],
        "observation_dtype": "float32",
        "env": "odd",
        "policy": "chance",
    }
    return OddLog(draw(st.permutations(rows)), dict(KINDS), json.dumps(metadata).encode())


def a_row(draw: Draw, episode: int, step: int, is_last: bool) -> Row:
    shares = draw(st.lists(st.integers(1, 9), min_size=ACTIONS, max_size=ACTIONS))
    return {
        "episode": episode,
        "step": step,
        "observation": an_observation(draw),
        "action": draw(st.integers(0, ACTIONS - 1)),
        "reward": draw(st.floats(-1e6, 1e6)),
        "cost": draw(st.floats(0, 10)),
        "probabilities": [share / sum(shares) for share in shares],
        "terminated": draw(st.booleans()) if is_last else None,
        "last_observation": an_observation(draw) if is_last else None,
        "metric:weight": draw(st.floats(0, 10)) if is_last else None,
    }


def an_observation(draw: Draw) -> list[float]:
    return draw(st.lists(st.floats(-100, 100, width=32), min_size=WIDTH, max_size=WIDTH))


@st.composite
def faulty_logs(draw: Draw, names: tuple[str, ...] = ()) -> OddLog:
    """A sound log to which one fault was done, any or one of these names."""
    log = copy.deepcopy(
        draw(sound_logs().filter(lambda log: len(log.rows) > 1))
    )  # one row is like all others
    log.fault = draw(st.sampled_from(names or tuple(FAULTS)))
    log.named = FAULTS[log.fault](draw, log)
    return log


def odd_logs() -> st.SearchStrategy[OddLog]:
    return sound_logs() | faulty_logs()


Fault = Callable[[Draw, OddLog], str]


def some_row(draw: Draw, log: OddLog) -> Row:
    return log.rows[draw(st.integers(0, len(log.rows) - 1))]


def last_row(draw: Draw, log: OddLog) -> Row:
    return draw(st.sampled_from([row for row in log.rows if row["terminated"] is not None]))


def value(column: str, wrong: Any) -> Fault:
    """One value of a column is wrong."""

    def fault(draw: Draw, log: OddLog) -> str:
        some_row(draw, log)[column] = wrong
        return column

    return fault


def last_value(column: str, wrong: Any) -> Fault:
    """The value on one episode's last step is wrong."""

    def fault(draw: Draw, log: OddLog) -> str:
        last_row(draw, log)[column] = wrong
        return column

    return fault


def early_value(column: str, wrong: Any) -> Fault:
    """A value that belongs on last steps is on another one, too."""

    def fault(draw: Draw, log: OddLog) -> str:
        row = some_row(draw, log)
        after = copy.deepcopy(row) | {
            "step": max(r["step"] for r in log.rows if r["episode"] == row["episode"]) + 1
        }
        last = next(
            r for r in log.rows if r["episode"] == row["episode"] and r["terminated"] is not None
        )
        ends = ("terminated", "last_observation", "metric:weight")
        after |= {name: last[name] for name in ends}
        last |= dict.fromkeys(ends)
        log.rows.append(after)
        row[column] = wrong
        return column

    return fault


def part(column: str, wrong: Any) -> Fault:
    """One number of a list is wrong."""

    def fault(draw: Draw, log: OddLog) -> str:
        row = last_row(draw, log) if column == "last_observation" else some_row(draw, log)
        row[column] = [*row[column]]
        row[column][draw(st.integers(0, len(row[column]) - 1))] = wrong
        return column

    return fault


def kind(column: str, other: pa.DataType, convert: Callable[[Any], Any]) -> Fault:
    """A whole column is of another kind."""

    def fault(draw: Draw, log: OddLog) -> str:
        log.kinds[column] = other
        for row in log.rows:
            row[column] = None if row[column] is None else convert(row[column])
        return column

    return fault


def metadata(changed: Callable[[dict[str, Any]], Any], named: str) -> Fault:
    def fault(draw: Draw, log: OddLog) -> str:
        assert log.metadata is not None
        told = changed(json.loads(log.metadata))
        log.metadata = (
            told if told is None or isinstance(told, bytes) else json.dumps(told).encode()
        )
        return named

    return fault


def step_twice(draw: Draw, log: OddLog) -> str:
    log.rows.append(dict(some_row(draw, log)))
    return "step"


def step_missing(draw: Draw, log: OddLog) -> str:
    """There is none before an episode's last step."""
    row = last_row(draw, log)
    row["step"] += 1
    return "step"


def joined_with_itself(draw: Draw, log: OddLog) -> str:
    log.rows += [dict(row) for row in log.rows]
    return "step"


def column_missing(draw: Draw, log: OddLog) -> str:
    required = [name for name in log.kinds if ":" not in name]
    name = draw(st.sampled_from(required))
    del log.kinds[name]
    return name


def column_twice(draw: Draw, log: OddLog) -> str:
    log.twice = [draw(st.sampled_from([name for name in log.kinds if ":" not in name]))]
    return log.twice[0]


def no_rows(draw: Draw, log: OddLog) -> str:
    log.rows = []
    return "no rows"


FAULTS: dict[str, Fault] = {
    **{
        f"{column} {wrong}": value(column, wrong)
        for column in ("reward", "cost")
        for wrong in (math.nan, math.inf, -math.inf, 1e300, None)
    },
    **{
        f"observation {wrong}": part("observation", wrong)
        for wrong in (math.nan, math.inf, -math.inf, None)
    },
    **{
        f"last observation {wrong}": part("last_observation", wrong)
        for wrong in (math.nan, math.inf, None)
    },
    **{f"observation of {n}": value("observation", [0.0] * n) for n in (0, 1, 3)},
    **{
        f"{column} null": value(column, None)
        for column in ("observation", "action", "probabilities")
    },
    **{f"{column} null": value(column, None) for column in ("episode", "step")},
    **{f"action {wrong}": value("action", wrong) for wrong in (-1, ACTIONS, 2**62, -(2**62))},
    **{
        f"probability {wrong}": part("probabilities", wrong)
        for wrong in (math.nan, math.inf, -0.5, 1.5, 1e-9, None)
    },
    **{
        f"probabilities {wrong}": value("probabilities", wrong)
        for wrong in ([1.0, 1.0, 1.0], [], [0.5, 0.5])
    },
    **{f"step {wrong}": value("step", wrong) for wrong in (-1, 2**62, 10**6)},
    "step twice": step_twice,
    "step missing": step_missing,
    "joined with itself": joined_with_itself,
    "terminated early": early_value("terminated", True),
    "terminated false early": early_value("terminated", False),
    "last observation early": early_value("last_observation", [0.0] * WIDTH),
    "metric early": early_value("metric:weight", 1.0),
    "terminated missing": last_value("terminated", None),
    "last observation missing": last_value("last_observation", None),
    "last observation of 1": last_value("last_observation", [0.0]),
    "metric inf": last_value("metric:weight", math.inf),
    **{
        f"{column} of strings": kind(column, pa.string(), str)
        for column in (
            "episode",
            "step",
            "action",
            "reward",
            "cost",
            "terminated",
            "metric:weight",
            "observation",
        )
    },
    **{
        f"{column} of floats": kind(column, pa.float64(), float)
        for column in ("episode", "step", "action")
    },
    "terminated of numbers": kind("terminated", pa.int64(), int),
    "reward of booleans": kind("reward", pa.bool_(), bool),
    "observation of another dtype": kind("observation", pa.list_(pa.float64()), list),
    "last observation of another dtype": kind("last_observation", pa.list_(pa.float64()), list),
    "observation of strings in lists": kind(
        "observation", pa.list_(pa.string()), lambda row: list(map(str, row))
    ),
    "column missing": column_missing,
    "column twice": column_twice,
    "no rows": no_rows,
    "another shape": metadata(
        lambda told: told | {"observation_shape": [WIDTH + 1]}, "observation"
    ),
    "another dtype": metadata(lambda told: told | {"observation_dtype": "float64"}, "observation"),
    **{
        f"shape {wrong}": metadata(
            lambda told, wrong=wrong: told | {"observation_shape": wrong}, "observation_shape"
        )
        for wrong in (None, "2", [-2], [True, 2], [2.0], {})
    },
    **{
        f"dtype {wrong}": metadata(
            lambda told, wrong=wrong: told | {"observation_dtype": wrong}, "observation"
        )
        for wrong in (None, 4, "object", "(1000000000,)f4")
    },
    "no metadata": metadata(lambda told: None, "praxis"),
    "metadata is no JSON": metadata(lambda told: b"{", "holds no logged episodes"),
    "metadata is a list": metadata(lambda told: [told], "praxis"),
    "metadata has NaN": metadata(lambda told: told | {"epsilon": math.nan}, "praxis"),
    "metadata is deep": metadata(lambda told: b"[" * 200_000, "holds no logged episodes"),
}
