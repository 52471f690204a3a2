"""What is learnt from must be of the environment that is trained in; some settings may differ, and
that is said."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.experiment import InvalidExperiment, to_json
from agents.logged.log_file import write_log
from agents.training.origin import about, check_origins, differences
from envs.health.care.env import CareEpisodeConfig
from envs.health.hiv_sti import HivConfig
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP

CARE = CareEpisodeConfig()
SAME = {"env": CARE.name, "env_settings": to_json(CARE)}


def with_settings(**changes: Any) -> dict[str, Any]:
    return {"env": CARE.name, "env_settings": to_json(CARE) | changes}


def test_the_same_environment_needs_no_word() -> None:
    assert differences("log", SAME, CARE) == []


def test_other_patients_and_other_noise_are_said() -> None:
    lines = differences("log", with_settings(noise=0.25, cohort="shifted"), CARE)
    assert lines == [
        "Note: log was made with --env.cohort shifted; here it is --env.cohort train.",
        "Note: log was made with --env.noise 0.25; here it is --env.noise 0.0.",
    ]


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (
            {"env": "hiv-sti", "env_settings": to_json(HivConfig())},
            "log is of hiv-sti, not of care-episode",
        ),
        ({"policy": "random"}, "log does not say which environment it is of"),
        ({"env": 3}, "log is of 3, not of care-episode"),
        (
            {"env": CARE.name, "env_settings": to_json(HivConfig())},
            "does not say what environment it is of",
        ),
        (
            with_settings(partial=False),
            r"with --env.no-partial, and this is with --env.partial, which means something else",
        ),
        (
            with_settings(cost_weight=1.0),
            r"--env.cost-weight 1.0, and this is with --env.cost-weight 0.0",
        ),
        (
            with_settings(structure_seed=2),
            r"--env.structure-seed 2, and this is with --env.structure-seed 1",
        ),
        (with_settings(noise=-1.0), "noise must be a number from 0 to"),
        (with_settings(noise="much"), "does not say what environment it is of"),
        (with_settings(color="red"), "has no field color"),
        (with_settings(type="os.system"), "does not say what environment it is of"),
        (with_settings(type=["a"]), "does not say what environment it is of"),
        ({"env": CARE.name, "env_settings": "care"}, "its env_settings are 'care'"),
    ],
)
def test_another_environment_or_one_that_cannot_be_is_refused(
    described: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidExperiment, match=told) as refusal:
        differences("log", described, CARE)
    assert "\n" not in str(refusal.value)


def test_both_kinds_of_file_say_where_they_come_from(tmp_path: Path) -> None:
    mdp = TinyMDP.random(1)
    write_log(mdp.play(mdp.policy(2), 3, 3), tmp_path / "log.parquet", SAME)
    assert about(tmp_path / "log.parquet").items() >= SAME.items()
    rows = {"rewards": np.zeros(3, np.float32)}
    save_file(rows, tmp_path / "shown", {"praxis": json.dumps(SAME)})
    assert about(tmp_path / "shown") == SAME
    save_file(rows, tmp_path / "old")
    assert about(tmp_path / "old") == {}
    [line] = differences("old", {}, CARE)
    assert (
        line
        == "Note: old does not say which environment it is of; it is taken to be of care-episode."
    )
    for content in ("[1]", "{", "[" * 100_000):
        save_file(rows, tmp_path / "odd", {"praxis": content})
        with pytest.raises(InvalidExperiment, match="odd holds no demonstrations"):
            about(tmp_path / "odd")


def test_what_an_experiment_learns_from_or_is_rewarded_by_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "shown"
    save_file(
        {"rewards": np.zeros(3, np.float32)}, path, {"praxis": json.dumps(with_settings(noise=0.5))}
    )
    reads, reads_nothing = SimpleNamespace(demonstrations=str(path)), SimpleNamespace()
    for algo, reward in ((reads, reads_nothing), (reads_nothing, reads)):
        experiment: Any = SimpleNamespace(algo=algo, reward=reward, env=CARE)
        assert check_origins(experiment) == [
            f"Note: {path} was made with --env.noise 0.5; here it is --env.noise 0.0."
        ]
        experiment.env = HivConfig()
        with pytest.raises(InvalidExperiment, match="is of care-episode, not of hiv-sti"):
            check_origins(experiment)


def test_each_setting_that_may_differ_does_not_change_what_is_seen() -> None:
    """Those of treatments, by their spaces."""
    for change in ({"noise": 0.1}, {"missing": 0.5}, {"cohort": "held-out"}):
        changed = replace(CARE, **change).build()
        assert changed.observation_space == CARE.build().observation_space
