"""Recurrent SAC's settings, and its step against SAC's on the same steps."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from agents.engine.config import rllib_config
from agents.engine.off_policy_runners import RememberingEnvRunner
from agents.engine.stretches import columns_of, turned, unrolled
from agents.experiment import Experiment
from agents.settings.no_memory import NoMemory
from agents.settings.recurrent_sac import RecurrentSAC
from agents.settings.sac import SAC
from envs.probe import TargetConfig
from perception.settings.memory import RecurrentConfig
from scripts.recipes import recipe_named


@pytest.mark.parametrize(
    "bad",
    [
        {"priority_exponent": 0.5},
        {"batch_norm": True},
        {"state_dependent_noise": True},
        {"hindsight": "future"},
        {"burn_in": -1},
    ],
    ids=str,
)
def test_what_stretches_cannot_have_is_refused_in_one_line(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refusal:
        RecurrentSAC(**bad)
    assert "\n" not in str(refusal.value)


def experiment_of(memory: Any, **changes: Any) -> Experiment:
    recipe = recipe_named("recurrent-sac")(TargetConfig())
    given: dict[str, Any] = {
        "rollout_length": 4,
        "learning_starts_env_steps": 32,
        "replay_capacity": 400,
        "batch_size": 4,
        "burn_in": 3,
        "hidden_sizes": (16,),
    }
    algo: Any = recipe.algo
    return replace(
        recipe,
        algo=replace(algo, **given | changes),
        memory=memory,
        num_envs=4,
        total_env_steps=400,
        precision="fp32",
    )


def learner_of(experiment: Experiment) -> Any:
    env = experiment.env.build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    return rllib_config(experiment).build_learner(spaces=spaces)


def filled(learner: Any, experiment: Experiment) -> None:
    """Puts 96 env steps into a learner's replay."""
    runner = RememberingEnvRunner(config=rllib_config(experiment), worker_index=0)
    runner.set_state({"rl_module": learner.bare_network.get_state()})
    for steps in range(0, 96, 16):
        learner.replay.add(runner.sample(steps).experience)
    learner.env_steps = learner.env_steps_before = 96


def test_without_a_memory_a_step_is_sacs_on_the_same_steps() -> None:
    """Stretches of one step, none burnt in, with nothing remembered, are SAC's transitions."""
    experiment = experiment_of(NoMemory(), burn_in=0, num_quantiles=3, dropped_quantiles=1)
    learner = learner_of(experiment)
    filled(learner, experiment)
    columns = learner.columns(learner.draw(96, 1))
    names = {field.name for field in fields(SAC)}
    algo: Any = experiment.algo
    plain = SAC(**{name: getattr(algo, name) for name in names} | {"name": "sac"})
    twin = learner_of(replace(experiment, algo=plain))
    twin.bare_network.set_state(learner.bare_network.get_state())
    twin.target.set_state(learner.target.get_state())
    by_step = turned(columns)
    known = by_step["known"][0]
    rows = {
        name: by_step[name][0]
        for name in ("actions", "rewards", "discounts", "noise", "next_noise", "observations")
    }
    rows["next_observations"] = by_step["observations"][1]
    rows["weights"] = known.float() / known.float().mean()
    results = [
        one._step(given, one.get_optimizer()) for one, given in ((learner, columns), (twin, rows))
    ]
    for name in ("loss", "q_mean", "policy_loss", "entropy"):
        torch.testing.assert_close(results[0][name], results[1][name])
    theirs = twin.bare_network.get_state()
    for name, value in learner.bare_network.get_state().items():
        np.testing.assert_allclose(value, theirs[name], atol=1e-6, err_msg=name)


def test_features_are_those_of_one_step_after_the_other() -> None:
    experiment = experiment_of(RecurrentConfig(units=6, steps=5))
    learner = learner_of(experiment)
    filled(learner, experiment)
    drawn = learner.draw(96, 1)
    columns = columns_of(learner, drawn)
    network = learner.bare_network
    with torch.no_grad():
        features = unrolled(network.features_from, columns, burn_in=3)
        for b in range(4):
            memory = torch.from_numpy(drawn.memories[b : b + 1])
            for t in range(len(drawn.first)):
                if t and drawn.first[t, b]:
                    memory = torch.zeros_like(memory)
                prepared = network.prepare(drawn.observations[t, b][None])
                expected, memory = network.features_from(prepared, memory)
                if t >= 3:
                    torch.testing.assert_close(features[t - 3, b], expected[0])


def test_the_memory_learns_from_the_critics() -> None:
    experiment = experiment_of(RecurrentConfig(units=6, steps=5))
    learner = learner_of(experiment)
    filled(learner, experiment)
    before = {n: p.detach().clone() for n, p in learner.bare_network.named_parameters()}
    learner._step(learner.columns(learner.draw(96, 1)), learner.get_optimizer())
    moved = {
        name
        for name, parameter in learner.bare_network.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert {name for name in before if name.startswith("memory.")} <= moved
    assert any(name.startswith("actor.") for name in moved)
