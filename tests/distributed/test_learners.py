"""Several learners, each a process, are one learner."""

from dataclasses import replace

import numpy as np
import pytest

from agents.checkpoint import chosen_checkpoint, load_state
from agents.engine.algorithm import ColumnarAlgorithm
from agents.engine.off_policy import OffPolicyAlgorithm
from agents.monitoring.metrics import read_progress
from agents.training.train import train
from perception.settings.rewards import NoveltyRewardConfig
from tests.agents.algorithms.logs import logged_by_chance
from tests.agents.tiny_runs import (
    ClockConfig,
    assert_same,
    final_state,
    losses,
    tiny,
    tiny_dqn,
    tiny_offline,
    tiny_td3,
)

pytestmark = pytest.mark.usefixtures("ray_here")


def test_two_learners_make_of_a_log_the_update_that_one_makes(tmp_path):
    log = logged_by_chance(ClockConfig(), tmp_path / "log.parquet", episodes=30)

    def learnt(run, learners):
        base = tiny_offline(tmp_path / run, "iql", log, num_learners=learners, total_env_steps=32)
        train(replace(base, algo=replace(base.algo, minibatch_size=32 // max(1, learners))))
        return final_state(tmp_path / run)["learner"]["learner"]["rl_module"]["default_policy"]

    one, two = learnt("one", 0), learnt("two", 2)
    for weights in one:
        np.testing.assert_allclose(
            one[weights], two[weights], rtol=1e-4, atol=1e-6, err_msg=weights
        )


def test_two_runners_and_two_learners_replay_their_own_environments(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    run_dir = tmp_path / "distributed"
    train(tiny_dqn(run_dir, num_env_runners=2, num_learners=2, total_env_steps=192))
    checkpoint = chosen_checkpoint(run_dir, "latest")
    assert [load_state(checkpoint / f"replay-{i}")["added"] for i in range(2)] == [48, 48]
    learnt = [steps for steps, loss in losses(run_dir, ("loss",)) if loss is not None]
    assert learnt == [160, 192]


def test_two_learners_of_td3_stay_one_network(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.engine.off_policy.REPORT_EVERY_ENV_STEPS", 32)
    seen = []

    def compare(algorithm, *arguments):
        weights = algorithm.learner_group.foreach_learner(
            lambda learner: learner.bare_network.get_state()
        )
        seen.append([result.get() for result in weights])
        return save_checkpoint(algorithm, *arguments)

    save_checkpoint = OffPolicyAlgorithm.save_checkpoint
    monkeypatch.setattr(OffPolicyAlgorithm, "save_checkpoint", compare)
    train(tiny_td3(tmp_path / "distributed", num_learners=2, total_env_steps=192))
    first, last = seen[0], seen[-1]
    assert_same(*last)
    assert any((first[0][name] != last[0][name]).any() for name in last[0])


def test_two_runners_and_two_learners_train_one_policy(tmp_path):
    run_dir = tmp_path / "distributed"
    train(tiny(run_dir, num_env_runners=2, num_learners=2, total_env_steps=320))
    lines = read_progress(run_dir / "progress.jsonl")
    assert [line["env_steps"] for line in lines] == list(range(32, 321, 32))
    # Observations are 0..3 and 1: with everybody's steps counted the count is exact.
    normalizer = final_state(run_dir)["learner"]["learner"]["rl_module"]["default_policy"]
    assert normalizer["normalizer.count"] == 320
    assert normalizer["normalizer.mean"].tolist() == [1.5, 1.0]


def test_two_learners_make_the_update_that_one_makes(tmp_path):
    """The same 32 env steps, each learner on its half; what differs is the order in which floats
    are added."""
    plain = {
        "normalize_advantages": False,
        "normalize_rewards": False,
        "normalize_observations": False,
    }

    def learnt(name, learners, learning_rate):
        base = tiny(tmp_path / name, num_learners=learners, total_env_steps=32, precision="fp32")
        size = 32 // max(1, learners)
        algo = replace(
            base.algo, epochs=1, minibatch_size=size, learning_rate=learning_rate, **plain
        )
        train(replace(base, algo=algo))
        return final_state(tmp_path / name)["learner"]["learner"]["rl_module"]["default_policy"]

    before, one, two = learnt("still", 0, 1e-12), learnt("one", 0, 1e-3), learnt("two", 2, 1e-3)
    for name, weights in one.items():
        np.testing.assert_allclose(weights, two[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert max(np.abs(weights - before[name]).max() for name, weights in one.items()) > 1e-4


def test_two_learners_have_one_reward_model(tmp_path, monkeypatch) -> None:
    seen = []

    def compare(algorithm, *arguments):
        told = algorithm.learner_group.foreach_learner(
            lambda learner: learner.reward_model.get_state()
        )
        seen.append([result.get() for result in told])
        return save_checkpoint(algorithm, *arguments)

    save_checkpoint = ColumnarAlgorithm.save_checkpoint
    monkeypatch.setattr(ColumnarAlgorithm, "save_checkpoint", compare)
    train(tiny(tmp_path / "run", reward=NoveltyRewardConfig(), num_learners=2, total_env_steps=96))
    assert_same(*seen[-1])
    first, last = (state[0]["module"] for state in (seen[0], seen[-1]))
    assert any((first[name] != last[name]).any() for name in last if name.startswith("predictor"))
    assert all((first[name] == last[name]).all() for name in last if name.startswith("target"))
