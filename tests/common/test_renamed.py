"""Files of earlier versions are read under the names of today."""

import numpy as np

from agents.checkpoint import load_state, save_state
from agents.experiment import Experiment
from agents.settings.iql import IQL
from common.renamed import renamed
from envs.probe import CountingConfig
from scripts import recipes
from scripts.recipes import recipe_named


def test_a_name_is_translated_part_by_part() -> None:
    assert renamed("encoder.normaliser.mean") == "encoder.normalizer.mean"
    assert renamed("normaliser_of_mine") == "normaliser_of_mine"


def test_a_checkpoint_of_before_has_the_names_of_today(tmp_path) -> None:
    save_state(tmp_path / "step-1", {"learner": {"normaliser.mean": np.ones(2)}, 3: "normaliser"})
    state = load_state(tmp_path / "step-1")
    np.testing.assert_array_equal(state["learner"]["normalizer.mean"], np.ones(2))
    assert state[3] == "normaliser"


def test_an_experiment_of_before_has_the_names_of_today() -> None:
    experiment = recipe_named("ppo")(CountingConfig())
    saved = experiment.to_json()
    saved["most_environment_faults"] = saved.pop("max_environment_faults") + 1
    saved["algo"] = {"type": "IQL", "most_weight": 50.0, "demonstrations": "log"}
    read = Experiment.from_json(saved, recipes.SAVED_CLASSES)
    assert read.max_environment_faults == 11
    assert isinstance(read.algo, IQL)
    assert read.algo.max_weight == 50.0
