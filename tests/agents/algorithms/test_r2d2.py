"""R2D2's settings, its runner's memories, and its loss against one stretch after the other."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from agents.engine.config import rllib_config
from agents.engine.off_policy_runners import RememberingEnvRunner
from agents.experiment import Experiment, InvalidExperiment
from agents.settings.no_memory import NoMemory
from agents.settings.r2d2 import R2D2
from envs.probe import CountingConfig
from perception.settings.memory import RecurrentConfig
from scripts.recipes import recipe_named


@pytest.mark.parametrize(
    "bad",
    [
        {"priority_exponent": 0.5},
        {"munchausen": 0.9},
        {"random_shift": 4},
        {"burn_in": -1},
        {"values": "implicit-quantile"},
        {"hindsight": "future"},
    ],
    ids=str,
)
def test_what_stretches_cannot_have_is_refused_in_one_line(bad: dict[str, Any]) -> None:
    name = next(iter(bad))
    with pytest.raises(ValueError, match=f"{name}|Implicit") as refusal:
        R2D2(**bad)
    assert "\n" not in str(refusal.value)


def experiment_of(**changes: Any) -> Experiment:
    recipe = recipe_named("r2d2")(CountingConfig())
    given: dict[str, Any] = {
        "rollout_length": 4,
        "update_every_env_steps": 8,
        "learning_starts_env_steps": 32,
        "target_update_every_env_steps": 48,
        "replay_capacity": 400,
        "batch_size": 4,
        "burn_in": 3,
        "n_step": 2,
        "stream_width": 8,
    }
    algo: Any = recipe.algo
    return replace(
        recipe,
        algo=replace(algo, **given | changes),
        memory=RecurrentConfig(units=6, steps=5),
        num_envs=4,
        total_env_steps=400,
        precision="fp32",
    )


def test_stretches_longer_than_the_replay_are_refused() -> None:
    with pytest.raises(InvalidExperiment, match=r"A stretch has 10 steps .* holds 9 of each"):
        experiment_of(replay_capacity=36).validate()
    without_memory = replace(experiment_of(burn_in=100), memory=NoMemory(), total_env_steps=4_000)
    with pytest.raises(InvalidExperiment, match=r"A stretch has 103 steps .* holds 100 of each"):
        without_memory.validate()
    settings: Any = experiment_of(replay_capacity=48).algo
    settings.check_memory(7, 4, 1)
    with pytest.raises(ValueError, match=r"A stretch has 12 steps .* holds 9 of each"):
        settings.check_memory(7, 4, 4)  # three more steps for the stacks of the first
    with pytest.raises(InvalidExperiment, match="would draw 20,480 steps at once"):
        experiment_of(batch_size=1_024).validate()


def test_the_runner_brings_home_what_was_remembered_before_each_step() -> None:
    runner = RememberingEnvRunner(config=rllib_config(experiment_of()), worker_index=0)
    parts = [copy.deepcopy(runner.sample(steps).experience) for steps in (0, 16)]
    first, memories, observations = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("first", "memories", "observations")
    )
    remembered = torch.zeros(4, 12)
    assert first.any()
    assert np.abs(memories).max() > 0
    for t in range(len(first)):
        remembered = remembered.masked_fill(torch.from_numpy(first[t])[:, None], 0.0)
        np.testing.assert_allclose(memories[t], remembered.numpy(), atol=1e-6)
        prepared = runner.module.prepare(torch.from_numpy(observations[t]))
        with torch.no_grad():
            _, remembered = runner.module(prepared, memory=remembered)


def learner_of(**changes: Any) -> Any:
    experiment = experiment_of(**changes)
    env = CountingConfig().build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    return rllib_config(experiment).build_learner(spaces=spaces)


@pytest.mark.parametrize("double", [False, True])
def test_the_loss_is_that_of_one_stretch_after_the_other(double: bool) -> None:
    """Every step by itself: the memory goes on from the stored one, the target is that of n steps
    later, and the first steps are not learnt from."""
    learner = learner_of(double=double)
    runner = RememberingEnvRunner(config=rllib_config(experiment_of()), worker_index=0)
    runner.set_state({"rl_module": learner.bare_network.get_state()})
    for steps in range(0, 96, 16):
        learner.replay.add(runner.sample(steps).experience)
    learner.env_steps = learner.env_steps_before = 96
    drawn = learner.draw(96, 1)
    with torch.no_grad():
        for parameter in learner.target.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    loss = learner.loss(learner.columns(drawn))

    def unrolled(network: Any, b: int) -> torch.Tensor:
        memory = torch.from_numpy(drawn.memories[b : b + 1])
        outputs = []
        for t in range(len(drawn.first)):
            if t and drawn.first[t, b]:
                memory = torch.zeros_like(memory)
            output, memory = network(network.prepare(drawn.observations[t, b][None]), memory=memory)
            outputs.append(output[0, :, 0])
        return torch.stack(outputs)

    losses: list[float] = []
    with torch.no_grad():
        for b in range(4):
            online = unrolled(learner.bare_network, b)
            target = unrolled(learner.target.network, b)
            for t in range(3, 8):
                if not drawn.known[t, b]:
                    continue
                after = int(drawn.after[t, b])
                best = (online if double else target)[after].argmax()
                rewards = drawn.rewards[:, t, b] * 0.99 ** np.arange(2)
                goal = rewards.sum() + drawn.discounts[t, b] * float(target[after, best])
                error = float(online[t, drawn.actions[t, b]]) - goal
                losses.append(0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5)
    assert float(loss.value) == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_gradient_goes_through_the_memory_but_not_into_the_burn_in() -> None:
    learner = learner_of()
    runner = RememberingEnvRunner(config=rllib_config(experiment_of()), worker_index=0)
    for steps in range(0, 96, 16):
        learner.replay.add(runner.sample(steps).experience)
    learner.env_steps = learner.env_steps_before = 96
    columns = learner.columns(learner.draw(96, 1))
    observations = columns["observations"].clone().requires_grad_()
    learner.loss(columns | {"observations": observations}).value.backward()
    assert observations.grad is not None
    by_step = observations.grad.abs().sum((0, 2))
    assert (by_step[:3] == 0).all()
    assert (by_step[3:8] > 0).all()
    assert learner.bare_network.memory.cell.weight_hh.grad.abs().sum() > 0
