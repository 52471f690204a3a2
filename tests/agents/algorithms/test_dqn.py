"""DQN's settings, its exploration, and its learner's bookkeeping."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from agents.algorithms.dqn import shifted, soft_log_policy
from agents.engine.config import rllib_config
from agents.engine.learner import StepResult
from agents.engine.off_policy import means
from agents.replay.buffer import Frames
from agents.settings.dqn import DQN
from envs.classic import ClassicConfig
from envs.probe import CountingConfig, TargetConfig
from scripts.recipes import recipe_named


@pytest.mark.parametrize(
    "bad",
    [
        {"batch_size": 0},
        {"n_step": 0},
        {"learning_rate": math.nan},
        {"discount": 1.5},
        {"priority_exponent": -0.1},
        {"epsilon_end": 2.0},
        {"num_atoms": 1},
        {"checkpoint_replay_limit_gb": 0.0},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refusal:
        DQN(**bad)
    assert "\n" not in str(refusal.value)


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Discrete from 0.*--algo ppo"):
        DQN().check(TargetConfig().build(), 1, 8, 0)


def test_steps_between_visits_must_be_whole_updates() -> None:
    settings = DQN(rollout_length=3, update_every_env_steps=4)
    settings.check(CountingConfig().build(), 1, 8, 0)
    with pytest.raises(ValueError, match="multiple of update_every_env_steps"):
        settings.check(CountingConfig().build(), 1, 2, 0)


@pytest.mark.parametrize(
    ("settings", "num_envs", "told"),
    [
        # 20,000 // 48 steps of 48 environments are 19,968.
        (DQN(replay_capacity=20_000), 48, "never start: the replay holds 19,968"),
        (DQN(replay_capacity=20, learning_starts_env_steps=8), 8, "at least 24 with 8"),
        (
            DQN(rollout_length=128),
            8,
            "1,024 env steps .* more than target_update_every_env_steps, 1,000",
        ),
        (DQN(rollout_length=64, batch_size=256), 8, "would draw 32,768 transitions"),
        (
            DQN(values="quantile", num_quantiles=10_000, batch_size=256),
            8,
            r"comparisons would take 95\.4 GiB",
        ),
        (DQN(gradient_steps=300), 8, "would draw 19,200 transitions .* --algo.gradient-steps"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    settings: DQN, num_envs: int, told: str
) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        settings.check(CountingConfig().build(), 1, num_envs, 0)
    assert "\n" not in str(refusal.value)


def test_checkpoints_hold_the_newest_frames_and_the_best() -> None:
    images, vectors = Box(0, 255, (4, 84, 84), np.uint8), Box(-1, 1, (3,), np.float32)
    settings = DQN(replay_capacity=1_000_000, checkpoint_replay_limit_gb=16.0)
    assert settings.checkpoint_bytes(images, 4, 10_000_000) == 2 * 7_056 * 1_000_000
    assert settings.checkpoint_bytes(vectors, 1, 1_000) == 2 * 12 * 1_000
    assert (
        replace(settings, checkpoint_replay_limit_gb=1.0).checkpoint_bytes(images, 4, 10_000_000)
        == 2 * 10**9
    )
    assert replace(settings, checkpoint_replay=False).checkpoint_bytes(images, 4, 10_000_000) == 0


def test_a_replay_beyond_the_memory_is_refused_unless_it_lies_in_a_file() -> None:
    settings, env = DQN(replay_capacity=10**9), ClassicConfig("CartPole-v1").build()
    replace(settings, replay_capacity=10**7).check(env, 1, 8, 0)  # vectors are small
    env.observation_space = type(env.observation_space)(0, 255, (4, 84, 84), np.uint8)
    with pytest.raises(ValueError, match=r"GiB of memory.*--algo.memory-map-replay"):
        settings.check(env, 4, 8, 0)
    replace(settings, memory_map_replay=True).check(env, 4, 8, 0)


def test_epsilon_falls_linearly_and_stays() -> None:
    settings = DQN(epsilon_start=1.0, epsilon_end=0.1, epsilon_decay_env_steps=1_000)
    for steps, epsilon in ((0, 1.0), (500, 0.55), (1_000, 0.1), (9_000, 0.1)):
        assert settings.exploration_at(steps, 3, 1).tolist() == pytest.approx([epsilon] * 3)


def test_with_several_runners_every_environment_explores_on_its_own() -> None:
    settings = DQN(epsilon_end=0.01, epsilon_decay_env_steps=1_000)
    # Horgan et al. 2018: 0.4 ^ (1 + 7 i / (N - 1)).
    assert settings.exploration_at(5_000, 3, 2).tolist() == pytest.approx([0.4, 0.4**4.5, 0.4**8])
    assert settings.exploration_at(0, 3, 2).tolist() == [1.0] * 3
    assert settings.exploration_at(500, 3, 2).tolist() == pytest.approx(
        [0.7, 0.5 + 0.4**4.5 / 2, 0.5 + 0.4**8 / 2]
    )


def learner_of(**changes: Any) -> Any:
    """The learner of a tiny experiment, without Ray's actors."""
    recipe = recipe_named("dqn")(CountingConfig())
    given: dict[str, Any] = {
        "rollout_length": 4,
        "update_every_env_steps": 4,
        "learning_starts_env_steps": 32,
        "target_update_every_env_steps": 48,
        "replay_capacity": 400,
        "batch_size": 8,
    }
    experiment = replace(
        recipe, algo=replace(recipe.algo, **given | changes), num_envs=4, total_env_steps=400
    )
    config = rllib_config(experiment)
    env = CountingConfig().build()
    spaces = {"default_policy": (env.observation_space, env.action_space)}
    return config.build_learner(spaces=spaces)


def some_experience(start: int) -> Frames:
    """Four steps of four environments, all in one long episode."""
    steps = np.arange(start, start + 4, dtype=np.float32)
    flags = np.zeros((4, 4), np.bool_)
    first = flags.copy()
    first[0] = start == 0
    observations = np.stack([np.repeat(steps[:, None], 4, 1), np.ones((4, 4))], -1).astype(
        np.float32
    )
    rewards = np.ones((4, 4), np.float32)
    return Frames(
        observations,
        np.zeros((4, 4), np.int64),
        rewards,
        flags,
        flags,
        first,
        first,
        np.full((4, 4), None, object),
    )


def visit(learner: Any, number: int) -> tuple[int, list[dict[str, Any]]]:
    """The learner's minibatches of visit `number`, each 16 env steps, and a gradient step for
    each."""
    learner.env_steps, learner.env_steps_before = 16 * number, 16 * (number - 1)
    learner._begin_update()
    seen = []

    def gradient_step(minibatch: dict[str, Any]) -> StepResult:
        seen.append(minibatch)
        return type(learner).gradient_step(learner, minibatch)

    learner.gradient_step = gradient_step
    learner.learn(some_experience(4 * (number - 1)))
    return len(seen), seen


def test_learning_starts_late_updates_come_often_and_the_target_follows_seldom() -> None:
    learner = learner_of()
    counts, changed = [], []
    for number in range(1, 8):
        before = {
            name: value.clone() for name, value in learner.target.network.state_dict().items()
        }
        counts.append(visit(learner, number)[0])
        after = learner.target.network.state_dict()
        changed.append(any(not torch.equal(before[name], after[name]) for name in before))
    # 16 env steps a visit are 4 updates, once 32 are there before it. The target is copied at 48
    # env steps, when it is the same, and at 96.
    assert counts == [0, 0, 4, 4, 4, 4, 4]
    assert changed == [False, False, False, False, False, True, False]


def test_errors_return_to_the_rows_that_they_are_of() -> None:
    learner = learner_of(priority_exponent=1.0)
    for number in (1, 2, 3):
        visit(learner, number)
    learned_from, told = learner.loss, []

    def loss(minibatch: Any) -> Any:
        return learned_from(minibatch)._replace(
            td_errors=minibatch["observations"][:, 0]
        )  # the step's number

    learner.loss = loss
    learner.replay.prioritize = lambda rows, errors: told.append((rows, errors))
    visit(learner, 4)
    ((rows, errors),) = told
    np.testing.assert_array_equal(errors, learner.replay.frames[rows][:, 0])
    assert len(set(errors.tolist())) > 4


def test_double_learning_lets_the_online_network_choose() -> None:
    learner = learner_of(double=True)
    for number in (1, 2):
        visit(learner, number)
    columns = learner.columns(learner.draw(32, 1))
    target_q = columns["target_q"].squeeze(-1)
    chosen = learner.bare_network.q_values(columns["next_observations"]).argmax(-1)
    target = columns["rewards"] + columns["discounts"] * target_q[torch.arange(8), chosen]
    said = learner.bare_network.q_values(columns["observations"])[
        torch.arange(8), columns["actions"]
    ]
    torch.testing.assert_close(learner.loss(columns).td_errors, target - said)


def test_n_step_rewards_are_discounted_and_summed() -> None:
    learner = learner_of(n_step=3, discount=0.5)
    for number in (1, 2):
        visit(learner, number)
    columns = learner.columns(learner.draw(32, 1))
    # Every reward is 1: 1 + 1/2 + 1/4, and what follows is worth 1/8.
    assert columns["rewards"].tolist() == [1.75] * 8
    assert columns["discounts"].tolist() == [0.125] * 8


def test_means_are_over_the_rounds_that_have_a_name() -> None:
    assert means([{"epsilon": 1.0}, {"epsilon": 0.5, "loss": 3.0}]) == {
        "epsilon": 0.75,
        "loss": 3.0,
    }


@pytest.mark.parametrize(
    "changes",
    [{"double": True}, {"values": "categorical"}],
    ids=str,
)
def test_munchausen_targets_are_refused_where_they_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Munchausen targets") as refusal:
        DQN(munchausen=0.9, **changes)
    assert "\n" not in str(refusal.value)


def test_the_soft_policys_log_probabilities_by_hand() -> None:
    # exp(1 / 0.5) = 7.389 beside 1: chances of 0.8808 and 0.1192.
    logs = soft_log_policy(torch.tensor([[1.0, 0.0]]), 0.5)
    assert logs.tolist()[0] == pytest.approx(
        [0.5 * math.log(0.8808), 0.5 * math.log(0.1192)], rel=1e-3
    )


def test_munchausen_targets_by_hand() -> None:
    learner = learner_of(munchausen=0.5, munchausen_temperature=0.5, munchausen_floor=-1.0)
    target_q = torch.tensor([[[1.0], [0.0]]])
    following = learner.following({"target_q": target_q}, torch.arange(1))
    # 0.8808 (1 + 0.06344) + 0.1192 (0 + 1.0634): the soft maximum 0.5 log(exp(2) + 1).
    assert following.item() == pytest.approx(0.5 * math.log(math.exp(2) + 1), rel=1e-4)


def test_the_reward_of_an_unlikely_action_falls_to_the_floor_at_most() -> None:
    learner = learner_of(munchausen=0.5, munchausen_temperature=0.03, munchausen_floor=-1.0)
    observations = torch.zeros(2, 2)
    q_values = torch.tensor([[9.0, 0.0], [9.0, 0.0]])
    learner.target.network.q_values = lambda _: q_values
    rewards = learner.munchausen_reward(
        {"observations": observations, "actions": torch.tensor([0, 1])}
    )
    assert rewards.tolist() == pytest.approx([0.0, -0.5], abs=1e-6)


def test_n_and_the_discount_change_after_each_reset() -> None:
    settings = DQN(
        update_every_env_steps=1,
        learning_starts_env_steps=100,
        n_step=3,
        discount=0.997,
        anneal_updates=1_000,
        reset_every_updates=5_000,
    )
    assert settings.horizon_at(50) == (10, pytest.approx(0.97))
    n_step, discount = settings.horizon_at(600)
    assert n_step == round(math.sqrt(10 * 3))
    assert discount == pytest.approx(1 - math.sqrt(0.03 * 0.003))
    assert settings.horizon_at(1_100) == settings.horizon_at(5_099) == (3, pytest.approx(0.997))
    assert settings.horizon_at(5_100) == (10, pytest.approx(0.97))


def test_a_replay_is_as_long_as_the_longest_transition() -> None:
    settings = DQN(anneal_updates=10, first_n_step=20, replay_capacity=80)
    with pytest.raises(ValueError, match="at least 88 with 4"):
        replace(settings, learning_starts_env_steps=8).check(CountingConfig().build(), 1, 4, 0)


def test_shifted_images_come_from_within_the_border() -> None:
    images = torch.arange(2 * 3 * 6 * 5, dtype=torch.uint8).reshape(2, 3, 6, 5)
    seen = set()
    for seed in range(40):
        moved = shifted(images, 1, np.random.default_rng(seed))
        assert moved.shape == images.shape
        padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), "edge")
        for n in range(2):
            [where] = [
                (down, right)
                for down in range(3)
                for right in range(3)
                if (padded[n, :, down : down + 6, right : right + 5] == moved[n].numpy()).all()
            ]
            seen.add(where)
    assert len(seen) == 9


def test_a_reset_leaves_half_of_the_encoder_and_nothing_of_the_head() -> None:
    learner = learner_of(reset_every_updates=5)
    network = learner.bare_network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(100.0)
    learner.generator.manual_seed(3)
    learner.reset()
    for name, parameter in network.named_parameters():
        middle = parameter.mean().item()
        assert middle == pytest.approx(50.0 if name.startswith("encoder.") else 0.0, abs=1.0), name
    assert not learner.get_optimizer().state
    again = [parameter.clone() for parameter in network.parameters()]
    learner.reset()
    heads = [n for n, (name, _) in enumerate(network.named_parameters()) if "encoder" not in name]
    assert all(torch.equal(again[n], list(network.parameters())[n]) for n in heads), (
        "the update decides the fresh weights"
    )


def test_a_target_that_moves_goes_as_far_as_its_steps_would() -> None:
    learner = learner_of(target_rate=0.1)
    with torch.no_grad():
        for online, target in zip(
            learner.target.online_parameters, learner.target.parameters, strict=True
        ):
            online.fill_(1.0)
            target.fill_(0.0)
    learner.env_steps_before, learner.env_steps = 0, 8  # two updates of four env steps
    learner.update_target()
    assert learner.target.parameters[0].flatten()[0].item() == pytest.approx(1 - 0.9**2)


def test_learning_goes_on_after_a_reset() -> None:
    learner = learner_of(reset_every_updates=2)
    for start in range(0, 24, 4):
        learner.env_steps_before, learner.env_steps = 4 * start, 4 * start + 16
        learner._begin_update()
        metrics = learner.learn(some_experience(start))
    assert np.isfinite(metrics["loss"])


@pytest.mark.parametrize(("env", "pixels"), [("CartPole-v1", 1), ("images", 11)])
def test_shifts_are_for_images_that_are_large_enough(env: str, pixels: int) -> None:
    environment = ClassicConfig("CartPole-v1").build()
    if env == "images":
        environment.observation_space = Box(0, 255, (4, 84, 84), np.uint8)
        DQN(random_shift=10, replay_capacity=50_000).check(environment, 4, 8, 0)
    settings = DQN(random_shift=pixels, replay_capacity=50_000)
    with pytest.raises(ValueError, match=r"--algo\.random-shift is for images"):
        settings.check(environment, 4, 8, 0)
