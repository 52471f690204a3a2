"""From the names that users type to experiments that can train, and to JSON and back."""

import json
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agents.experiment import Experiment, InvalidExperiment
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.ppo import PPO
from envs.atari import games as atari
from envs.atari.games import AtariConfig
from envs.classic import ClassicConfig
from envs.probe import CountingConfig, TargetConfig
from perception.settings.encoders import ImpalaResNetConfig, MLPConfig, NatureCNNConfig
from perception.settings.memory import RecurrentConfig
from perception.settings.module_encoders import ListEncoderConfig
from scripts.recipes import (
    ENCODERS,
    MEMORIES,
    RECIPES,
    REWARDS,
    SAVED_CLASSES,
    encoder_named,
    environment_named,
    memory_named,
    modules,
    recipe_named,
    reward_named,
)

KINDS = [
    "SpaceInvaders",
    "CartPole-v1",
    "FrozenLake-v1",
    "Pendulum-v1",
    "probe-counting",
    "probe-target",
    "probe-choice",
    "probe-recall",
    "SpaceInvadersObjects",
    "HalfCheetah",
    "PandaReach",
    "Navigate",
    "KukaGrasp",
]
CONTINUOUS = {"Pendulum-v1", "probe-target", "HalfCheetah", "PandaReach", "Navigate", "KukaGrasp"}
SUITED = {
    "ppo": None,
    "appo": None,
    "ddpg": True,
    "td3": True,
    "sac": True,
    "tqc": True,
    "crossq": True,
    "recurrent-sac": True,
}
"""Whether an algorithm wants continuous actions; None takes both, and what is not here wants
discrete ones."""
OFFLINE = ("bc", "cql", "iql")
"""What learns from a file, which has to be there."""


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("SpaceInvaders", AtariConfig("SpaceInvaders")),
        ("space_invaders", AtariConfig("SpaceInvaders")),
        ("MONTEZUMA-REVENGE", AtariConfig("MontezumaRevenge")),
        ("CartPole-v1", ClassicConfig("CartPole-v1")),
        ("probe-counting", CountingConfig()),
        ("probe-target", TargetConfig()),
    ],
)
def test_a_name_stands_for_its_environment(name: str, config: Any) -> None:
    assert environment_named(name) == config


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("SpaceInvader", "SpaceInvaders"),
        ("CartPole", "CartPole-v1"),
        ("probe-traget", "probe-target"),
    ],
)
def test_an_unknown_environment_is_told_with_near_matches(typed: str, suggested: str) -> None:
    with pytest.raises(
        ValueError, match=f"no environment '{typed}'.*Did you mean.*{suggested}"
    ) as refusal:
        environment_named(typed)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["", " ", "xyzzy", "../../etc/passwd", "ppo"])
def test_a_name_like_nothing_known_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="There is no environment"):
        environment_named(name)


def test_every_game_that_can_be_named_can_be_built() -> None:
    for game in atari.games():
        try:
            config = environment_named(game)
        except ValueError:
            continue  # a game for several players alone may be left out, but not half in
        assert isinstance(config, AtariConfig)
        assert atari.plain(atari.rom_of(config.game)) == game
        atari.gymnasium_id(config.game)


def test_an_encoder_is_made_by_its_name() -> None:
    assert encoder_named("mlp") == MLPConfig()
    assert encoder_named("nature") == NatureCNNConfig()
    assert encoder_named("impala") == ImpalaResNetConfig()


@pytest.mark.parametrize(
    ("lookup", "typed", "said"),
    [
        (
            encoder_named,
            "natur",
            r"no encoder 'natur'; there are: classifier, .*nature, .*Did you mean nature\?",
        ),
        (recipe_named, "ppoo", r"no algorithm 'ppoo'; there are: appo, .*ppo.*Did you mean ppo"),
        (recipe_named, "", "no algorithm ''"),
    ],
)
def test_an_unknown_encoder_or_algorithm_is_told_with_those_there_are(
    lookup: Any, typed: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        lookup(typed)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        *product(KINDS, [name for name in RECIPES if name not in OFFLINE]),
        *product(
            ["Pong", "MsPacman", "MontezumaRevenge"], ["ppo", "dqn"]
        ),  # which have other numbers of actions
    ],
)
def test_every_recipe_is_sound_as_it_is(name: str, algorithm: str) -> None:
    experiment = recipe_named(algorithm)(environment_named(name))
    assert experiment.algo.name == algorithm
    assert experiment.env.name == name
    wanted = SUITED.get(algorithm, False)
    if wanted is None or wanted == (name in CONTINUOUS):
        experiment.validate()
        return
    told = (
        r"needs continuous actions.*try --algo dqn or ppo"
        if wanted
        else r"Discrete from 0.*try --algo ppo, td3 or sac"
    )
    with pytest.raises(InvalidExperiment, match=told):
        experiment.validate()


@pytest.mark.parametrize("algorithm", OFFLINE)
def test_what_learns_from_a_file_asks_for_it(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = recipe_named(algorithm)(environment_named("LanguageGoToLocal"))
    assert experiment.encoder == recipe_named("ppo")(experiment.env).encoder
    told = r"runs/demonstrations/LanguageGoToLocal\.safetensors holds no demonstrations.*make_demonstrations\.py"
    with pytest.raises(InvalidExperiment, match=told):
        experiment.validate()
    told = r"runs/logs/hiv-sti-standard-of-care\.parquet holds no logged episodes.*log_episodes\.py"
    with pytest.raises(InvalidExperiment, match=told):
        recipe_named(algorithm)(environment_named("hiv-sti")).validate()


def test_choices_alone_are_learnt_by_cql() -> None:
    with pytest.raises(InvalidExperiment, match=r"CQL.*Discrete from 0.*try --algo iql or bc"):
        recipe_named("cql")(environment_named("probe-target")).validate()


@pytest.mark.parametrize("algorithm", RECIPES)
@pytest.mark.parametrize("name", KINDS)
def test_a_recipes_experiment_comes_back_from_json(name: str, algorithm: str) -> None:
    experiment = recipe_named(algorithm)(environment_named(name))
    assert (
        Experiment.from_json(json.loads(json.dumps(experiment.to_json())), SAVED_CLASSES)
        == experiment
    )


def test_every_class_that_users_can_name_can_be_read_back() -> None:
    wanted = {type(environment_named(name)) for name in KINDS} | {
        type(encoder_named(name)) for name in ENCODERS
    }
    for algorithm in RECIPES:
        experiment = recipe_named(algorithm)(environment_named("probe-counting"))
        wanted |= {
            type(getattr(experiment, f.name))
            for f in fields(experiment)
            if f.name in ("algo", "reward")
        }
    wanted |= {type(memory_named(name)) for name in MEMORIES} | {
        type(reward_named(name)) for name in REWARDS
    }
    assert wanted <= set(SAVED_CLASSES.values())
    assert all(SAVED_CLASSES[cls.__name__] is cls for cls in SAVED_CLASSES.values())


def test_images_get_a_convolutional_encoder_and_rewards_of_one_size() -> None:
    experiment = recipe_named("ppo")(environment_named("Pong"))
    assert isinstance(experiment.encoder, NatureCNNConfig)
    assert experiment.reward.clip_to_sign  # type: ignore[attr-defined]
    # 1,024 env steps an update in minibatches of 256, as the recipe says of Schulman et al. 2017,
    # table 5.
    assert isinstance(experiment.algo, PPO)
    assert experiment.num_envs * experiment.algo.rollout_length == 1_024


def test_continuous_control_is_normalized_and_keeps_true_rewards() -> None:
    experiment = recipe_named("ppo")(environment_named("Pendulum-v1"))
    assert isinstance(experiment.encoder, MLPConfig)
    assert isinstance(experiment.algo, PPO)
    assert experiment.algo.normalize_observations
    assert experiment.algo.normalize_rewards
    assert not experiment.reward.clip_to_sign  # type: ignore[attr-defined]


def test_every_module_that_can_be_trained_can_be_read_back() -> None:
    assert {type(make().task) for make in modules.MODULES.values()} <= set(
        modules.SAVED_CLASSES.values()
    )


def test_a_memory_is_for_algorithms_that_learn_in_order_and_divides_what_they_learn_from() -> None:
    ppo, dqn = (recipe_named(name)(environment_named("CartPole-v1")) for name in ("ppo", "dqn"))
    replace(ppo, memory=memory_named("lstm")).validate()
    with pytest.raises(
        InvalidExperiment, match="--memory is for ppo, appo, bc, r2d2 and recurrent-sac"
    ):
        replace(dqn, memory=memory_named("gru")).validate()
    with pytest.raises(
        InvalidExperiment, match=r"7 steps of memory do not divide .*; 64 do: --memory\.steps"
    ):
        replace(ppo, memory=RecurrentConfig(steps=7)).validate()


def test_objects_get_what_reads_lists_of_them_and_the_settings_of_games() -> None:
    for algorithm in ("ppo", "dqn", "rainbow"):
        experiment = recipe_named(algorithm)(environment_named("SpaceInvadersObjects"))
        assert isinstance(experiment.encoder, ListEncoderConfig)
        assert experiment.reward == EnvironmentReward(clip_to_sign=True)
