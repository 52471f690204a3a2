"""Experiments: to JSON and back, and every mistake in one line before anything is started."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.experiment import Experiment, InvalidExperiment, Resources
from agents.settings.dqn import DQN
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.no_memory import NoMemory
from agents.settings.ppo import PPO
from envs.atari.games import AtariConfig
from envs.classic import ClassicConfig
from envs.probe import CountingConfig, TargetConfig
from perception.settings.encoders import ImpalaResNetConfig, MLPConfig, NatureCNNConfig

CLASSES = (
    NoMemory,
    AtariConfig,
    ClassicConfig,
    CountingConfig,
    TargetConfig,
    PPO,
    EnvironmentReward,
    Resources,
    MLPConfig,
    NatureCNNConfig,
    ImpalaResNetConfig,
)
PLUGS = {cls.__name__: cls for cls in CLASSES}
VALID = Experiment(env=CountingConfig(), algo=PPO(), encoder=MLPConfig())

widths = st.lists(st.integers(1, 512), max_size=4).map(tuple)
environments = (
    st.builds(
        AtariConfig, game=st.text(), noop_max=st.integers(0, 30), full_action_space=st.booleans()
    )
    | st.builds(ClassicConfig, id=st.text(), max_episode_steps=st.integers(1, 500) | st.just(-1))
    | st.builds(CountingConfig, length=st.integers(1, 9))
    | st.just(TargetConfig())
)
encoders = (
    st.builds(MLPConfig, hidden_sizes=widths, activation=st.sampled_from(["tanh", "relu", "silu"]))
    | st.builds(NatureCNNConfig, features=st.integers(1, 999))
    | st.builds(ImpalaResNetConfig, channels=widths, features=st.integers(1, 999))
)
algorithms = st.builds(
    PPO,
    learning_rate=st.floats(1e-9, 1.0),
    discount=st.floats(0, 1),
    normalize_rewards=st.booleans(),
)
any_experiment = st.builds(
    Experiment,
    env=environments,
    algo=algorithms,
    encoder=encoders,
    reward=st.builds(EnvironmentReward, clip_to_sign=st.booleans()),
    total_env_steps=st.integers(1, 10**12),
    seed=st.integers(0, 2**32 - 1),
    precision=st.sampled_from(["auto", "bf16", "fp32"]),
    run_dir=st.text(),
)


@given(any_experiment)
def test_an_experiment_comes_back_equal_from_json(experiment: Experiment) -> None:
    text = json.dumps(experiment.to_json())
    assert Experiment.from_json(json.loads(text), PLUGS) == experiment


def damaged(**changes: Any) -> dict[str, Any]:
    return VALID.to_json() | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in VALID.to_json().items() if key != name}


@pytest.mark.parametrize(
    "data",
    [
        damaged(env={"type": "system", "command": "rm"}),
        damaged(env={"type": "os.system"}),
        damaged(env={"type": "__import__"}),
        damaged(type="Popen"),
        damaged(color="red"),
        damaged(algo={"type": "PPO", "momentum": 0.9}),
        damaged(algo={"type": "PPO", "discount": 7}),
        damaged(env={"length": 5}),
        damaged(env={"type": ["CountingConfig"]}),
        without("env"),
        without("type"),
        CountingConfig(length=3).__dict__ | {"type": "CountingConfig"},
        {},
        [],
        [1, 2],
        None,
        "experiment",
    ],
    ids=lambda data: json.dumps(data)[:60],
)
def test_json_that_is_not_an_experiment_is_refused_in_one_line(data: Any) -> None:
    with pytest.raises(InvalidExperiment, match=r"experiment\.json") as refusal:
        Experiment.from_json(data, PLUGS)
    assert "\n" not in str(refusal.value)


def test_a_class_that_is_not_among_the_plugs_is_refused_though_it_exists() -> None:
    plugs = {name: cls for name, cls in PLUGS.items() if name != "CountingConfig"}
    with pytest.raises(InvalidExperiment, match="CountingConfig"):
        Experiment.from_json(VALID.to_json(), plugs)


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"type": "PPO"}},
        {"env": "CartPole-v1"},
        {"algo": {"type": "MLPConfig"}},
        {"encoder": {"type": "CountingConfig"}},
        {"reward": {"type": "MLPConfig"}},
        {"total_env_steps": "many"},
        {"num_envs": None},
        {"num_envs": 2.5},
        {"precision": "fp7"},
        {"encoder": {"type": "MLPConfig", "activation": "sine"}},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_in_json_is_refused_in_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidExperiment) as refusal:
        Experiment.from_json(damaged(**changes), PLUGS).validate()
    assert "\n" not in str(refusal.value)


def test_a_sound_experiment_passes() -> None:
    VALID.validate()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"total_env_steps": 0},
            "--total-env-steps must be a whole number from 1 to 1,000,000,000,000, not 0",
        ),
        ({"num_envs": 0}, "--num-envs must be a whole number from 1 to"),
        ({"evaluation_episodes": 0}, "--evaluation-episodes must be a whole number from 1 to"),
        (
            {"checkpoint_every_env_steps": -5},
            "--checkpoint-every-env-steps must be a whole number from 1 to .*, not -5",
        ),
        ({"keep_checkpoints": 0}, "--keep-checkpoints must be a whole number from 1 to"),
        ({"num_env_runners": -1}, "--num-env-runners must be a whole number from 0 to .*, not -1"),
        ({"num_learners": -1}, "--num-learners must be a whole number from 0 to .*, not -1"),
        (
            {"evaluate_every_env_steps": -1},
            "--evaluate-every-env-steps must be a whole number from 0 to .*, not -1",
        ),
        ({"seed": -1}, "--seed must be a whole number from 0 to .*, not -1"),
        ({"num_env_runners": 3}, "8 environments do not divide among 3 runner"),
        ({"num_learners": 5}, "do not divide among 1 runner.* and 5 learner"),
        ({"algo": PPO(minibatch_size=1000)}, "minibatches of 1000"),
        (
            {"algo": DQN(learning_starts_env_steps=500), "total_env_steps": 500},
            "Nothing would be learnt in 500 env steps: learning starts after 500; raise "
            "--total-env-steps",
        ),
        (
            {
                "algo": DQN(learning_starts_env_steps=100, n_step=100),
                "num_envs": 8,
                "total_env_steps": 800,
            },
            "Nothing would be learnt in 800 env steps: the replay needs 808",
        ),
        ({"encoder": NatureCNNConfig()}, "--encoder mlp reads vectors"),
        ({"env": ClassicConfig("CartPole")}, "no environment 'CartPole'.*CartPole-v1"),
        ({"env": AtariConfig("SpaceInvader")}, "no Atari game 'SpaceInvader'.*SpaceInvaders"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_told_in_one_line_that_names_it(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidExperiment, match=said) as refusal:
        replace(VALID, **changes).validate()
    assert "\n" not in str(refusal.value)


PONG, CARTPOLE = {"game": "Pong"}, {"id": "CartPole-v1"}
SENSELESS: list[tuple[str, type, dict[str, Any]]] = [
    ("encoder", MLPConfig, {"hidden_sizes": (64, -1)}),
    ("encoder", MLPConfig, {"hidden_sizes": (64, 0)}),
    ("encoder", NatureCNNConfig, {"features": -512}),
    ("encoder", ImpalaResNetConfig, {"features": -1}),
    ("encoder", ImpalaResNetConfig, {"channels": (16, -32)}),
    ("env", ClassicConfig, CARTPOLE | {"max_episode_steps": 0}),
    ("env", AtariConfig, PONG | {"noop_max": -1}),
    ("env", AtariConfig, PONG | {"max_frames_per_episode": 0}),
]


@pytest.mark.parametrize(
    ("plug", "cls", "fields"),
    SENSELESS,
    ids=[f"{cls.__name__} {fields}" for _, cls, fields in SENSELESS],
)
def test_a_senseless_size_is_refused_before_the_start(
    plug: str, cls: type, fields: dict[str, Any]
) -> None:
    images = cls not in (MLPConfig, ClassicConfig)
    sound = replace(VALID, env=AtariConfig(**PONG), encoder=NatureCNNConfig()) if images else VALID
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 any of them; when made, or when validated
        replace(sound, **{plug: cls(**fields)}).validate()
    assert "\n" not in str(refusal.value)
