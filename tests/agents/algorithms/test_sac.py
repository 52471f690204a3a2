"""SAC's, TQC's and CrossQ's losses against hand-computed numbers; targets, delay and temperature."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.algorithms.sac import critic_loss, lowest
from agents.engine.config import rllib_config
from agents.engine.off_policy_runners import StateDependentNoiseEnvRunner
from agents.experiment import Experiment
from agents.settings.sac import SAC
from envs.probe import ChoiceConfig, TargetConfig
from scripts.recipes import recipe_named

KINDS: dict[str, dict[str, Any]] = {
    "sac": {},
    "tqc": {"num_quantiles": 5, "dropped_quantiles": 2},
    "crossq": {"batch_norm": True, "policy_delay": 3},
}


@pytest.mark.parametrize(
    "bad",
    [
        {"target_rate": 0.0},
        {"num_critics": 0},
        {"num_quantiles": 0},
        {"dropped_quantiles": 1},
        {"num_quantiles": 5, "dropped_quantiles": 5},
        {"policy_delay": 0},
        {"initial_temperature": 0.0},
        {"initial_temperature": math.nan},
        {"target_entropy": math.inf},
        {"initial_noise": 0.0},
        {"adam_beta1": 1.0},
        {"hidden_sizes": ()},
        {"critic_hidden_sizes": (64, 0)},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=list(bad)[-1]) as refusal:
        SAC(**bad)
    assert "\n" not in str(refusal.value)


def test_discrete_actions_and_several_batches_to_normalize_by_are_refused() -> None:
    with pytest.raises(ValueError, match=r"TQC needs continuous actions.* not Discrete"):
        SAC(name="tqc").check(ChoiceConfig().build(), 1, 4, 0)
    with pytest.raises(ValueError, match=r"--num-learners 1 .*not 2"):
        SAC(batch_norm=True).check(TargetConfig().build(), 1, 4, 2)


def test_the_loss_of_means_by_hand() -> None:
    values = torch.tensor([[[1.0], [2.0]], [[0.0], [4.0]]])
    loss, errors = critic_loss(values, torch.tensor([[2.0], [2.0]]), torch.tensor([1.0, 0.5]))
    # First critic: (1 * 1 + 0.5 * 0) / 2; second: (1 * 4 + 0.5 * 4) / 2.
    assert loss.item() == pytest.approx(0.5 + 3.0)
    assert errors.tolist() == [1.5, 1.0]


def test_the_loss_of_quantiles_by_hand() -> None:
    values = torch.tensor([[[0.0, 2.0]]])
    loss, errors = critic_loss(values, torch.tensor([[0.5, 4.0]]), torch.ones(1))
    # The quantile of 1/4 at 0: errors 0.5 and 4, Huber 0.125 and 3.5, weighed by 1/4; that of 3/4
    # at 2: errors -1.5 and 2, Huber 1.0 and 1.5, weighed by 1/4 and 3/4. Means over both targets.
    assert loss.item() == pytest.approx((0.125 + 3.5) / 4 / 2 + (1.0 / 4 + 1.5 * 3 / 4) / 2)
    assert errors.tolist() == [1.25]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.data())
def test_the_lowest_values_of_all_critics_are_kept(
    critics: int, batch: int, quantiles: int, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(1, critics * quantiles))
    values = np.random.default_rng(0).permutation(critics * batch * quantiles)
    values = values.reshape(critics, batch, quantiles).astype(np.float32)
    expected = [sorted(values[:, row].ravel())[:kept] for row in range(batch)]
    assert lowest(torch.from_numpy(values), kept).tolist() == expected


def experiment_of(**changes: Any) -> Experiment:
    recipe = recipe_named("sac")(TargetConfig())
    small: dict[str, Any] = {
        "learning_starts_env_steps": 8,
        "replay_capacity": 400,
        "batch_size": 8,
        "hidden_sizes": (16, 16),
        "compile_losses": False,
    }
    return replace(
        recipe, algo=replace(recipe.algo, **small | changes), num_envs=4, precision="fp32"
    )


def learner_of(**changes: Any) -> Any:
    env = TargetConfig().build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    return rllib_config(experiment_of(**changes)).build_learner(spaces=spaces)


def minibatch(size: int = 8) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    names = ("observations", "next_observations", "actions", "noise", "next_noise")
    draw = {name: torch.rand(size, 1, generator=generator) for name in names}
    ones = torch.ones(size)
    return draw | {"rewards": ones, "discounts": 0.9 * ones, "weights": ones}


def test_targets_are_the_lower_values_and_the_entropy() -> None:
    learner = learner_of(initial_temperature=0.5)
    batch = minibatch()
    network = learner.bare_network
    with torch.no_grad():
        mean, std = network.mean_and_std(network.latent(batch["next_observations"]))
        raw = mean + std * batch["next_noise"]
        gaussian = torch.distributions.Normal(mean, std)
        tanh = torch.distributions.TransformedDistribution(
            gaussian, torch.distributions.TanhTransform(cache_size=1)
        )
        actions = raw.tanh()
        log_probs = tanh.log_prob(actions)[:, 0]
        both = torch.cat([batch["next_observations"], actions], 1)
        low = torch.minimum(
            *(critic(both, False)[:, 0] for critic in learner.target.network.critics)
        )
        _, targets = learner.values_and_targets(batch)
    torch.testing.assert_close(
        targets[:, 0], 1 + 0.9 * (low - 0.5 * log_probs), atol=1e-4, rtol=1e-4
    )


def test_targets_of_quantiles_leave_out_the_highest() -> None:
    learner = learner_of(**KINDS["tqc"], initial_temperature=1e-6)
    _, targets = learner.values_and_targets(minibatch())
    assert targets.shape == (8, 2 * 3)


def test_both_batches_are_normalized_by_the_same_moments() -> None:
    """Where what follows has other moments than what is there, neither is normalized by its own."""
    learner = learner_of(batch_norm=True)
    batch = minibatch()
    network = learner.bare_network
    batch["next_observations"] = batch["next_observations"] + 3.0
    values, _ = learner.values_and_targets(batch)
    with torch.no_grad():
        next_actions, _ = network.sample(batch["next_observations"], batch["next_noise"])
        both = torch.cat([batch["observations"], batch["next_observations"]])
        acts = torch.cat([batch["actions"], next_actions])
        together = network.values(both, acts, learning=True)[:, :8]
        alone = network.values(batch["observations"], batch["actions"], learning=True)
    torch.testing.assert_close(values, together, atol=1e-4, rtol=1e-4)
    assert (values - alone).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_moves_what_it_should(kind: str) -> None:
    learner = learner_of(**KINDS[kind])
    network = learner.bare_network
    optimizer = learner.get_optimizer()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    target_before = [p.clone() for p in learner.target.parameters]
    for _ in range(KINDS[kind].get("policy_delay", 1) - 1):
        learner._step(minibatch(), optimizer)
    still = {
        name.partition(".")[0]
        for name, p in network.named_parameters()
        if torch.equal(p, before[name])
    }
    delayed = {"actor", "mean", "log_std", "log_temperature"}
    assert still == (delayed if kind == "crossq" else set(before_names(before)))
    learner._step(minibatch(), optimizer)
    assert all(not torch.equal(p, before[name]) for name, p in network.named_parameters())
    moved = any(
        not torch.equal(a, b) for a, b in zip(target_before, learner.target.parameters, strict=True)
    )
    assert moved == (kind != "crossq")


def before_names(parameters: dict[str, torch.Tensor]) -> set[str]:
    return {name.partition(".")[0] for name in parameters}


@pytest.mark.parametrize(("target_entropy", "rises"), [(5.0, True), (-50.0, False)])
def test_the_temperature_rises_where_entropy_is_short(target_entropy: float, rises: bool) -> None:
    learner = learner_of(target_entropy=target_entropy)
    before = learner.bare_network.log_temperature.item()
    learner._step(minibatch(), learner.get_optimizer())
    assert (learner.bare_network.log_temperature.item() > before) == rises


def test_a_temperature_that_is_given_stays() -> None:
    learner = learner_of(learn_temperature=False, initial_temperature=0.2)
    learner._step(minibatch(), learner.get_optimizer())
    assert learner.bare_network.log_temperature.exp().item() == pytest.approx(0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_gradients_are_the_same_and_each_learners_own(kind: str) -> None:
    """Gradients, not weights: a bias that batch normalization takes out again has none, and Adam
    makes steps of its rounding errors."""
    for _ in range(2):
        plain = learner_of(**KINDS[kind])
        machine = learner_of(**KINDS[kind], compile_losses=True)
        machine.set_state(plain.get_state())
        for _ in range(2):
            critics = machine.critic_gradients(minibatch())
            actor = machine.actor_gradients(minibatch())
            expected = plain.critic_gradients(minibatch())
            torch.testing.assert_close(critics, expected, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(
                actor, plain.actor_gradients(minibatch()), atol=1e-4, rtol=1e-4
            )
    for name, moments in machine.bare_network.named_buffers():
        torch.testing.assert_close(moments, plain.bare_network.get_buffer(name), msg=name)


def test_noise_is_one_function_of_the_state_for_a_visit() -> None:
    experiment = experiment_of(state_dependent_noise=True, rollout_length=3, initial_noise=0.5)
    runner = StateDependentNoiseEnvRunner(config=rllib_config(experiment), worker_index=0)
    network = runner.module
    runner.sample(100)
    observation = torch.full((4, 1), 0.3)
    exploring = torch.ones(4)
    generator = torch.Generator()
    first = network.explore_along(observation, exploring, runner._weights, generator)
    again = network.explore_along(observation, exploring, runner._weights, generator)
    torch.testing.assert_close(first, again)
    assert first.std() > 0.01  # each environment has a function of its own
    weights = runner._weights
    runner.sample(112)
    assert not torch.equal(weights, runner._weights)


def test_state_dependent_noise_has_the_variance_of_the_policy() -> None:
    learner = learner_of(state_dependent_noise=True, initial_noise=0.5)
    network = learner.bare_network
    observation = torch.full((1, 1), 0.3)
    with torch.no_grad():
        latent = network.latent(observation)
        _, std = network.mean_and_std(latent)
        weights = network.noise_weights(20_000, torch.Generator().manual_seed(0))
        noise = (latent[:, None] @ weights)[:, 0]
    assert noise.std().item() == pytest.approx(std.item(), rel=0.03)
