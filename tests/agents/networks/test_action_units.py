"""Whatever trains, plays or learns from a log: environments get numbers of their Box, networks
their own units."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from safetensors.numpy import save_file

from agents.data import Columns, Logged
from agents.engine.config import build_network, rllib_config
from agents.engine.learner import StepResult
from agents.evaluation.evaluate import act, batch_of_one, evaluate, load_network
from agents.evaluation.policies import trained_policy
from agents.evaluation.record import record
from agents.experiment import InvalidExperiment
from scripts.recipes import recipe_named
from tests.agents.tiny_runs import tiny

BOXES = {
    "above zero": Box(50.0, 150.0, (2,), np.float32),
    "0.3 in float32": Box(-0.9, 0.3, (2,), np.float32),
    "0.3 in float64": Box(-0.9, 0.3, (2,), np.float64),
    "float16": Box(-0.3, 0.7, (2,), np.float16),
    "each its own, one fixed": Box(np.array([-1e30, 7.0]), np.array([1e30, 7.0]), dtype=np.float64),
}
HALF_OPEN = Box(np.array([3.0, -np.inf]), np.array([np.inf, np.inf]), dtype=np.float32)


class StrictEnv(gymnasium.Env):
    """Ends the test at an action that is not of its space."""

    observation_space = Box(-1.0, 1.0, (3,), np.float32)

    def __init__(self, action_space: Box) -> None:
        self.action_space = action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.clock = 0
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        if not self.action_space.contains(action):
            pytest.fail(f"{action!r} is not in {self.action_space}")
        self.clock += 1
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), 1.0, False, self.clock == 4, {}

    def render(self) -> Any:
        return np.zeros((16, 16, 3), np.uint8)


@dataclass(frozen=True)
class StrictConfig:
    action_space: Box
    name: str = "strict"
    frame_stack: int = 1

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    def build(self) -> gymnasium.Env:
        return StrictEnv(self.action_space)

    def build_vector(self, num_envs: int) -> Any:
        return SyncVectorEnv([self.build] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def experiment_of(name: str, box: Box, folder: Path, **changes: Any) -> Any:
    base = recipe_named(name)(StrictConfig(box))
    off_policy = {
        "replay_capacity": 400,
        "learning_starts_env_steps": 8,
        "compile_losses": False,
        "noise": 3.0,
    }
    given = (
        {"rollout_length": 8, "minibatch_size": 32} if name in ("ppo", "bc", "iql") else off_policy
    )
    algo = replace(base.algo, **given | changes)
    return replace(tiny(folder), env=base.env, algo=algo, encoder=base.encoder)


def wide_weights(network: Any) -> Any:
    """A network whose actions reach both ends and beyond."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(30.0)
    return network


@pytest.mark.parametrize("box", [*BOXES.values(), HALF_OPEN], ids=[*BOXES, "half open"])
@pytest.mark.parametrize("name", ["ppo", "td3"])
def test_what_is_sent_lies_in_the_space(name: str, box: Box, tmp_path: Path) -> None:
    if name == "td3" and box is HALF_OPEN:
        pytest.skip("TD3 needs bounds, and says so")
    experiment = experiment_of(name, box, tmp_path)
    runner = experiment.algo.parts.runner(config=rllib_config(experiment), worker_index=0)
    wide_weights(runner.module)
    for env_steps in (0, 100):  # by chance at first, then around the policy
        experience = runner.sample(env_steps).experience
        assert experience.actions.dtype == np.float32
    network = wide_weights(build_network(experiment))
    for deterministic in (False, True):
        evaluate(
            experiment, network, episodes=4, seed=0, deterministic=deterministic, checkpoint=""
        )
        policy = trained_policy(network, deterministic=deterministic)
        decided = policy(np.full((6, 3), 0.5, np.float32), np.ones(6, np.bool_))
        assert all(box.contains(action) for action in decided)
    record(experiment, network, tmp_path / "film.webm", seed=0, deterministic=True, max_steps=4)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_log_probabilities_are_of_the_actions_that_are_kept(box: Box, tmp_path: Path) -> None:
    """Rounded to a Box's float16 they would be of others, and the first ratio of an update not
    1."""
    experiment = experiment_of("ppo", box, tmp_path)
    runner = experiment.algo.parts.runner(config=rllib_config(experiment), worker_index=0)
    rollout = runner.sample().experience
    with torch.no_grad():
        prepared = runner.module.prepare(torch.from_numpy(rollout.observations).flatten(0, 1))
        parameters, _, _ = runner.module(prepared)
    log_probs = runner.module.distribution.log_prob(
        parameters, torch.from_numpy(rollout.actions).flatten(0, 1)
    )
    np.testing.assert_allclose(rollout.log_probs.flatten(), log_probs.numpy(), rtol=1e-5, atol=1e-5)


def test_td3_wants_two_bounds(tmp_path: Path) -> None:
    largest = np.finfo(np.float32).max
    for box in (HALF_OPEN, Box(-largest, largest, (2,), np.float32)):
        experiment = experiment_of("td3", box, tmp_path)
        with pytest.raises(ValueError, match="with bounds"):
            experiment.algo.check(experiment.env.build(), 1, 4, 0)


def demonstrations(folder: Path) -> str:
    columns = {
        "observations": np.zeros((64, 3), np.float32),
        "actions": np.tile(np.array([[75.0, 150.0]], np.float32), (64, 1)),
        "rewards": np.zeros(64, np.float32),
        "first": np.arange(64) % 8 == 0,
    }
    save_file(columns, folder / "demonstrations.safetensors")
    return str(folder / "demonstrations.safetensors")


@pytest.mark.parametrize("name", ["bc", "iql"])
def test_what_was_demonstrated_is_learnt_in_the_policys_units(name: str, tmp_path: Path) -> None:
    box = BOXES["above zero"]
    experiment = experiment_of(name, box, tmp_path, demonstrations=demonstrations(tmp_path))
    env = experiment.env.build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    learner = rllib_config(experiment).build_learner(spaces=spaces)
    drawn = experiment.algo.read_log(env.observation_space, env.action_space).draw(0, 4, 0)
    learnt_from: list[Columns] = []

    def gradient_step(minibatch: Columns) -> StepResult:
        learnt_from.append(minibatch)
        return StepResult({"loss": torch.zeros(())})

    learner.gradient_step = gradient_step
    learner.learn(drawn)
    for minibatch in learnt_from:
        # 75 is a quarter of the way from 50 to 150, and 150 is its end.
        assert minibatch["actions"].unique(dim=0).tolist() == [[-0.5, 1.0]]


def test_a_reward_model_sees_what_the_environment_got(tmp_path: Path) -> None:
    box = BOXES["above zero"]
    experiment = experiment_of("iql", box, tmp_path, demonstrations=demonstrations(tmp_path))
    seen = []

    class Judge(torch.nn.Module):
        learning_rate = 1e-3

        def reward(self, steps: Any) -> torch.Tensor:
            seen.append(steps.actions)
            return torch.zeros(len(steps.actions))

    @dataclass(frozen=True)
    class Judged:
        def of_environment(self, rewards: Any) -> Any:
            return rewards

        def build(self, observation_space: Any, action_space: Any) -> Judge:
            return Judge()

    env = experiment.env.build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    learner = rllib_config(replace(experiment, reward=Judged())).build_learner(spaces=spaces)
    drawn = experiment.algo.read_log(env.observation_space, env.action_space).draw(0, 4, 0)
    assert isinstance(drawn, Logged)
    learner.columns(drawn)
    assert seen[0].unique(dim=0).tolist() == [[75.0, 150.0]]


def saved(folder: Path, weights: dict[str, Any]) -> Path:
    from agents.checkpoint import save_state

    save_state(folder, {"learner": {"learner": {"rl_module": {"default_policy": weights}}}})
    return folder


def without_scaling(weights: dict[str, Any]) -> dict[str, Any]:
    """As networks were saved before their state said how actions are scaled."""
    return {name: value for name, value in weights.items() if not name.startswith("action_scaling")}


@pytest.mark.parametrize(("name", "sent"), [("ppo", [60.0, 50.0]), ("td3", [150.0, 50.0])])
def test_a_network_of_an_earlier_version_acts_as_it_did(
    name: str, sent: list[float], tmp_path: Path
) -> None:
    """PPO's actions were the environment's, clipped; TD3's were scaled to the Box."""
    experiment = experiment_of(name, BOXES["above zero"], tmp_path / "run")
    network = build_network(experiment)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        last = network.policy_head if name == "ppo" else network.actor.head
        last.bias.copy_(torch.tensor([60.0, -60.0]))
    earlier = saved(tmp_path / "earlier", without_scaling(network.get_state()))
    loaded = load_network(experiment, earlier)
    observations = batch_of_one(np.zeros(3, np.float32))
    actions, _ = act(loaded, observations, loaded.no_memory(1), torch.Generator(), True)
    np.testing.assert_allclose(actions, [sent])
    # And what it is saved as from now on says so.
    again = load_network(experiment, saved(tmp_path / "again", loaded.get_state()))
    actions, _ = act(again, observations, again.no_memory(1), torch.Generator(), True)
    np.testing.assert_allclose(actions, [sent])


def test_a_new_network_is_loaded_with_its_scaling(tmp_path: Path) -> None:
    experiment = experiment_of("ppo", BOXES["above zero"], tmp_path / "run")
    network = build_network(experiment)
    loaded = load_network(experiment, saved(tmp_path / "new", network.get_state()))
    assert loaded.to_environment(np.zeros((1, 2), np.float32)).tolist() == [[100.0, 100.0]]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    experiment = experiment_of("ppo", BOXES["above zero"], tmp_path / "run")
    weights = build_network(experiment).get_state()
    cut = {name: value for name, value in weights.items() if name != "policy_head.bias"}
    others = (
        cut,
        weights | {"another": np.zeros(1)},
        weights | {"policy_head.bias": np.zeros(3)},
        [1.0],
    )
    for number, other in enumerate(others):
        with pytest.raises(InvalidExperiment, match="another network"):
            load_network(experiment, saved(tmp_path / str(number), other))
