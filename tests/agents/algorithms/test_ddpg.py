"""DDPG's and TD3's losses against hand-computed numbers; targets, delay and noise."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from agents.acceleration.compiling import impossible
from agents.algorithms.ddpg import critic_loss, smoothing_noise
from agents.engine.config import rllib_config
from agents.engine.off_policy_runners import ActionNoiseEnvRunner
from agents.experiment import Experiment
from agents.replay.buffer import Transitions
from agents.settings.ddpg import DDPG
from envs.classic import ClassicConfig
from envs.probe import ChoiceConfig, TargetConfig
from perception.settings.encoders import MLPConfig
from scripts.recipes import recipe_named


@pytest.mark.parametrize(
    "bad",
    [
        {"target_rate": 0.0},
        {"target_rate": 1.5},
        {"num_critics": 0},
        {"policy_delay": 0},
        {"noise": -0.1},
        {"noise": math.nan},
        {"noise_correlation": 1.1},
        {"target_noise": -1.0},
        {"hidden_sizes": ()},
        {"hidden_sizes": (400, 0)},
        {"batch_size": 0},
        {"gradient_steps": 0},
        {"hindsight_share": 1.5},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refusal:
        DDPG(**bad)
    assert "\n" not in str(refusal.value)


def test_discrete_actions_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"TD3 needs continuous actions.* real numbers with bounds.* not Discrete.*--algo dqn or ppo",
    ):
        DDPG(name="td3").check(ChoiceConfig().build(), 1, 4, 0)


def test_actions_that_are_whole_numbers_are_refused() -> None:
    env = TargetConfig().build()
    env.action_space = Box(0, 10, (1,), np.int64)
    with pytest.raises(ValueError, match="Box of real numbers"):
        DDPG().check(env, 1, 4, 0)


def test_hindsight_is_refused_with_several_steps_and_without_goals() -> None:
    with pytest.raises(ValueError, match="n_step must be 1"):
        DDPG(hindsight="future", n_step=3)
    with pytest.raises(ValueError, match="needs an environment with goals"):
        DDPG(hindsight="future").check(TargetConfig().build(), 1, 4, 0)


def test_the_critics_loss_by_hand() -> None:
    values = torch.tensor([[1.0, 2.0], [0.0, 4.0]])
    loss, errors = critic_loss(values, torch.tensor([2.0, 2.0]), torch.tensor([1.0, 0.5]))
    # First critic: (1 * 1 + 0.5 * 0) / 2; second: (1 * 4 + 0.5 * 4) / 2.
    assert loss.item() == pytest.approx(0.5 + 3.0)
    assert errors.tolist() == [1.5, 1.0]


def test_the_smoothing_noise_is_clipped() -> None:
    settings, generator = (
        DDPG(target_noise=0.2, target_noise_limit=0.3),
        torch.Generator().manual_seed(0),
    )
    noise = smoothing_noise(torch.Size((5_000, 2)), settings, generator)
    assert noise.abs().max().item() == pytest.approx(0.3)
    # A normal of deviation 0.2 that is clipped at 1.5 deviations has deviation 0.2 * 0.8834
    # (numerically integrated).
    assert noise.std().item() == pytest.approx(0.2 * 0.8834, rel=0.03)


def experiment_of(**changes: Any) -> Experiment:
    recipe = recipe_named("ddpg")(TargetConfig())
    given: dict[str, Any] = {
        "learning_starts_env_steps": 8, "replay_capacity": 400, "batch_size": 8, "hidden_sizes": (16, 16),
        "compile_losses": False,
    }  # fmt: skip
    return replace(
        recipe, algo=replace(recipe.algo, **given | changes), num_envs=4, precision="fp32"
    )


def learner_of(encoder: MLPConfig | None = None, **changes: Any) -> Any:
    env, experiment = TargetConfig().build(), experiment_of(**changes)
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    return rllib_config(replace(experiment, encoder=encoder or experiment.encoder)).build_learner(
        spaces=spaces
    )


def minibatch(size: int = 8) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = {
        name: torch.rand(size, 1, generator=generator)
        for name in ("observations", "next_observations", "actions")
    }
    ones = torch.ones(size)
    return draw | {"rewards": ones, "discounts": 0.9 * ones, "weights": ones}


def snapshot(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(before: list[torch.Tensor], module: nn.Module) -> bool:
    return any((a != b).any() for a, b in zip(before, module.parameters(), strict=True))


def test_targets_by_hand() -> None:
    learner, batch = learner_of(num_critics=2), minibatch()
    target = learner.target.network
    with torch.no_grad():
        actions = torch.tanh(target.actor(batch["next_observations"]))
        both = torch.cat([batch["next_observations"], actions], 1)
        values = [critic(both)[:, 0] for critic in target.critics]
    torch.testing.assert_close(learner.targets(batch), 1 + 0.9 * torch.minimum(*values))


def test_the_targets_actions_are_smoothed_within_the_box() -> None:
    learner, batch = learner_of(), minibatch()
    with torch.no_grad():
        actions = (torch.tanh(learner.target.network.actor(batch["next_observations"])) + 5).clamp(
            -1, 1
        )
        values = learner.target.network.critics[0](
            torch.cat([batch["next_observations"], actions], 1)
        )[:, 0]
    smoothed = learner.targets(batch | {"target_noise": torch.full((8, 1), 5.0)})
    torch.testing.assert_close(smoothed, 1 + 0.9 * values)


def test_a_compiled_step_is_the_same_step_and_each_learners_own() -> None:
    """Compiled code is not asked again whether it fits, so that it must not be another
    learner's."""
    changes = {"num_critics": 2, "policy_delay": 2}
    plain, compiled, batch = (
        learner_of(**changes),
        learner_of(**changes, compile_losses=True),
        minibatch(),
    )
    neighbor = learner_of(num_critics=1, policy_delay=9, compile_losses=True)
    neighbor._step(batch, neighbor.get_optimizer())
    before = snapshot(neighbor.bare_network)
    compiled.set_state(plain.get_state())
    for _ in range(4):
        terms = [learner._step(batch, learner.get_optimizer()) for learner in (plain, compiled)]
    torch.testing.assert_close(*terms, rtol=1e-4, atol=1e-5)
    for a, b in zip(plain.target.online_parameters, compiled.target.online_parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert not changed(before, neighbor.bare_network)
    assert not impossible.is_set()


def test_the_first_step_of_both_networks_is_adams_along_their_own_losses() -> None:
    """Adam's first step is the learning rate along the gradient's sign, so signs and the polyak
    average say all."""
    learner, batch = learner_of(), minibatch()
    network = learner.bare_network
    actor, critics, target = (
        snapshot(network.actor),
        snapshot(network.critics),
        snapshot(learner.target.network),
    )
    targets = learner.targets(batch)
    values = network.critics[0](torch.cat([batch["observations"], batch["actions"]], 1))[:, 0]
    expected = torch.autograd.grad(
        ((values - targets) ** 2).mean(), list(network.critics.parameters())
    )
    learner._step(batch, learner.get_optimizer())
    for before, now, gradient in zip(critics, network.critics.parameters(), expected, strict=True):
        clear = gradient.abs() > 1e-4
        torch.testing.assert_close(
            (now - before)[clear], -1e-3 * gradient.sign()[clear], rtol=1e-2, atol=1e-6
        )
    # The actor climbs what the critic thinks after its own step.
    now = [parameter.detach().clone() for parameter in network.actor.parameters()]
    with torch.no_grad():
        for parameter, before in zip(network.actor.parameters(), actor, strict=True):
            parameter.copy_(before)
    proposed = torch.tanh(network.actor(batch["observations"]))
    gain = network.critics[0](torch.cat([batch["observations"], proposed], 1)).mean()
    for before, after, gradient in zip(
        actor, now, torch.autograd.grad(gain, list(network.actor.parameters())), strict=True
    ):
        clear = gradient.abs() > 1e-4
        torch.testing.assert_close(
            (after - before)[clear], 1e-3 * gradient.sign()[clear], rtol=1e-2, atol=1e-6
        )
    with torch.no_grad():
        for parameter, after in zip(network.actor.parameters(), now, strict=True):
            parameter.copy_(after)
    for before, after, online in zip(
        target, learner.target.network.parameters(), network.parameters(), strict=True
    ):
        torch.testing.assert_close(after, before + 0.005 * (online - before))


def test_an_encoder_learns_from_the_critics_alone_and_the_actor_sees_by_what_it_has_learnt() -> (
    None
):
    learner, batch = learner_of(encoder=MLPConfig((8,))), minibatch()
    network = learner.bare_network
    encoder, seen = snapshot(network.encoder), network.features(batch["observations"]).detach()
    gradients, _ = learner.policy_gradients(batch["observations"])
    assert len(gradients) == len(list(network.actor.parameters()))
    learner._step(batch, learner.get_optimizer())
    assert changed(encoder, network.encoder)
    assert (network.features(batch["observations"]) != seen).any()
    for before, after, online in zip(
        encoder,
        learner.target.network.encoder.parameters(),
        network.encoder.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(after, before + 0.005 * (online - before))
    # The actor's step, taken again by hand: from where it stood, along what the features say after
    # the critics' step.
    twin = learner_of(encoder=MLPConfig((8,)))
    start = snapshot(twin.bare_network.actor)
    twin.bare_network.load_state_dict(network.state_dict())
    with torch.no_grad():
        for parameter, before in zip(twin.bare_network.actor.parameters(), start, strict=True):
            parameter.copy_(before)
    expected, _ = twin.policy_gradients(batch["observations"])
    for before, after, gradient in zip(start, network.actor.parameters(), expected, strict=True):
        clear = gradient.abs() > 1e-4
        torch.testing.assert_close(
            (after - before)[clear], -1e-3 * gradient.sign()[clear], rtol=1e-2, atol=1e-6
        )


def test_actions_are_learnt_from_in_single_precision_whatever_the_environments_are() -> None:
    observations = torch.zeros(4, 1)
    transitions = Transitions(
        rows=np.arange(4),
        observations=observations,
        actions=np.zeros((4, 1), np.float64),
        rewards=np.zeros((1, 4), np.float32),
        discounts=np.ones(4, np.float32),
        next_observations=observations,
        weights=np.ones(4, np.float32),
        discount=0.9,
    )
    assert learner_of().columns(transitions)["actions"].dtype == torch.float32


def test_a_delayed_policy_and_the_targets_wait_for_the_critics() -> None:
    learner, batch = learner_of(policy_delay=2, num_critics=2), minibatch()
    network = learner.bare_network
    for number in range(1, 5):
        actor, critics, target = (
            snapshot(network.actor),
            snapshot(network.critics),
            snapshot(learner.target.network),
        )
        learner._step(batch, learner.get_optimizer())
        assert changed(critics, network.critics)
        assert changed(actor, network.actor) == (number % 2 == 0)
        assert changed(target, learner.target.network) == (number % 2 == 0)


def test_the_state_goes_on_with_the_delay_and_the_target() -> None:
    learner, twin, batch = learner_of(policy_delay=2), learner_of(policy_delay=2), minibatch()
    for _ in range(3):
        learner._step(batch, learner.get_optimizer())
    twin.set_state(learner.get_state())
    for one in (learner, twin):
        one._step(batch, one.get_optimizer())
    for a, b in zip(
        learner.target.network.parameters(), twin.target.network.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b)
    for a, b in zip(learner.bare_network.parameters(), twin.bare_network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def runner_of(environment: Any, **changes: Any) -> ActionNoiseEnvRunner:
    recipe = recipe_named("ddpg")(environment)
    algorithm = replace(recipe.algo, **changes)
    return ActionNoiseEnvRunner(
        config=rllib_config(replace(recipe, algo=algorithm, num_envs=4, precision="fp32")),
        worker_index=0,
    )


def test_actions_are_any_until_learning_starts_then_the_policys_with_noise() -> None:
    runner = runner_of(
        ClassicConfig("Pendulum-v1"), rollout_length=200, learning_starts_env_steps=100, noise=0.05
    )
    early = runner.sample(0).experience.actions.copy()
    assert abs(early.std() - 1 / math.sqrt(3)) < 0.03  # uniform in [-1, 1]
    late = runner.sample(800).experience
    with torch.no_grad():
        features = runner.module.features(
            runner.module.prepare(torch.from_numpy(late.observations).flatten(0, 1))
        )
        policy = runner.module.actions(features).view(200, 4, 1).numpy()
    noise = late.actions - policy
    inside = np.abs(late.actions) < 1
    assert noise[inside].std() == pytest.approx(0.05, rel=0.1)
    correlation = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert abs(correlation) < 0.12


def drifting_noise(correlation: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """What four environments' exploration added in 400 steps (400, 4), and where episodes began."""
    runner = runner_of(
        ClassicConfig("Pendulum-v1"),
        rollout_length=400,
        learning_starts_env_steps=0,
        noise=noise,
        noise_correlation=correlation,
    )
    late = runner.sample(0).experience
    with torch.no_grad():
        features = runner.module.features(
            runner.module.prepare(torch.from_numpy(late.observations).flatten(0, 1))
        )
        return (late.actions - runner.module.actions(features).view(400, 4, 1).numpy())[
            ..., 0
        ], late.first


def test_correlated_noise_keeps_its_share_of_itself() -> None:
    noise, _ = drifting_noise(correlation=0.9, noise=0.05)
    assert np.corrcoef(noise[1:200].ravel(), noise[:199].ravel())[0, 1] == pytest.approx(
        0.9, abs=0.07
    )


def test_correlated_noise_starts_anew_with_the_episode() -> None:
    # A walk that forgets nothing: after 200 steps of 0.02 it is at about 0.28, a new one at about
    # 0.02.
    noise, first = drifting_noise(correlation=1.0, noise=0.02)
    assert first.sum() == 8
    assert np.abs(noise[first]).max() < 0.08
    assert np.abs(noise[190:200]).mean() > 0.12


def test_the_environment_gets_its_own_units() -> None:
    runner = runner_of(ClassicConfig("Pendulum-v1"))
    np.testing.assert_allclose(
        runner.module.to_environment(np.array([[-1.0], [0.5]], np.float32)), [[-2.0], [1.0]]
    )
    prepared = runner.module.prepare(torch.zeros(1, 3))
    acted, _ = runner.module.act(prepared, runner.module.no_memory(1), torch.Generator(), True)
    torch.testing.assert_close(acted, runner.module.actions(runner.module.features(prepared)))
