"""Named experiments: the only table of strings, from what users type to what is built."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from agents.experiment import Experiment, Resources
from agents.interfaces import Encoder, Environment, Memory, RewardModel
from agents.memory import NoMemory
from agents.rewards import EnvironmentReward
from agents.settings.appo import APPO
from agents.settings.bc import BC
from agents.settings.cql import CQL
from agents.settings.ddpg import DDPG
from agents.settings.dqn import DQN
from agents.settings.iql import IQL
from agents.settings.ppo import PPO
from envs import atari, classic, grid, language_grid
from envs.atari import AtariConfig
from envs.classic import ClassicConfig
from envs.grid import GridConfig
from envs.health import TREATMENTS
from envs.language_grid import LanguageGridConfig
from envs.names import near_matches, plain
from envs.probe import ChoiceConfig, CountingConfig, RecallConfig, TargetConfig
from envs.robots import locomotion, panda
from envs.robots.grasp import KukaGraspConfig
from envs.robots.locomotion import LocomotionConfig
from envs.robots.navigate import NavigateConfig
from envs.robots.panda import PandaConfig
from envs.space_invaders_objects import SpaceInvadersObjectsConfig
from language.settings.encoders import NoteEncoderConfig, ReaderConfig, SentenceReaderConfig
from language.settings.rewards import SimilarityRewardConfig
from perception.settings.encoders import (
    ClassifierEncoderConfig,
    ComponentsEncoderConfig,
    FilteredEncoderConfig,
    GridEncoderConfig,
    ImpalaResNetConfig,
    InstructedEncoderConfig,
    ListEncoderConfig,
    MaskRCNNEncoderConfig,
    MLPConfig,
    NatureCNNConfig,
    PartsConfig,
    RecordEncoderConfig,
    SSDEncoderConfig,
    UNetEncoderConfig,
    VGG16EncoderConfig,
    YOLOEncoderConfig,
)
from perception.settings.memory import RecurrentConfig
from perception.settings.rewards import DiscriminatorRewardConfig, NoveltyRewardConfig
from scripts.recipes import bc, ddpg, dqn, offline, ppo

Entry = TypeVar("Entry")

PROBES: dict[str, Environment] = {c.name: c for c in (CountingConfig(), TargetConfig(), ChoiceConfig(), RecallConfig())}
ROBOTS: dict[str, Environment] = {
    plain(c.name): c
    for c in (
        *(LocomotionConfig(robot) for robot in locomotion.RANDOM_RETURNS),
        *(PandaConfig(task) for task in panda.RANDOM_RETURNS),
        KukaGraspConfig(),
        NavigateConfig(),
    )
}
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "mlp": MLPConfig,
    "nature": NatureCNNConfig,
    "impala": ImpalaResNetConfig,
    "parts": PartsConfig,
    "grid": GridEncoderConfig,
    "instructed": partial(InstructedEncoderConfig, reader=ReaderConfig()),
    "instructed-sentences": partial(InstructedEncoderConfig, reader=SentenceReaderConfig()),
    "notes": NoteEncoderConfig,
    "record": RecordEncoderConfig,
    "filtered": FilteredEncoderConfig,
    "components": ComponentsEncoderConfig,
    "classifier": ClassifierEncoderConfig,
    "vgg16": VGG16EncoderConfig,
    "unet": UNetEncoderConfig,
    "objects": ListEncoderConfig,
    "yolo": YOLOEncoderConfig,
    "ssd": SSDEncoderConfig,
    "maskrcnn": MaskRCNNEncoderConfig,
}
MEMORIES: dict[str, Callable[[], Memory]] = {
    "none": NoMemory,
    "rnn": partial(RecurrentConfig, cell="rnn"),
    "gru": partial(RecurrentConfig, cell="gru"),
    "lstm": partial(RecurrentConfig, cell="lstm"),
}
REWARDS: dict[str, type[RewardModel]] = {
    "environment": EnvironmentReward,
    "rnd": NoveltyRewardConfig,
    "gail": DiscriminatorRewardConfig,
    "similarity": SimilarityRewardConfig,
}
RECIPES: dict[str, Callable[[Environment], Experiment]] = {
    "ppo": ppo.recipe,
    "appo": ppo.asynchronous,
    "dqn": dqn.recipe,
    "double-dqn": dqn.double,
    "rainbow": dqn.rainbow,
    "qr-dqn": dqn.quantile,
    "ddpg": ddpg.recipe,
    "td3": ddpg.twin_delayed,
    "bc": bc.recipe,
    "cql": offline.conservative,
    "iql": offline.implicit,
}
PLUGS: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        AtariConfig,
        SpaceInvadersObjectsConfig,
        ClassicConfig,
        GridConfig,
        LanguageGridConfig,
        *TREATMENTS.values(),
        LocomotionConfig,
        PandaConfig,
        KukaGraspConfig,
        NavigateConfig,
        CountingConfig,
        TargetConfig,
        ChoiceConfig,
        RecallConfig,
        PPO,
        APPO,
        DQN,
        DDPG,
        BC,
        CQL,
        IQL,
        Resources,
        *(type(encoder()) for encoder in ENCODERS.values()),
        ReaderConfig,
        SentenceReaderConfig,
        *REWARDS.values(),
        NoMemory,
        RecurrentConfig,
    )
}
"""Every class that an experiment.json may name."""


def environment_named(name: str) -> Environment:
    """SpaceInvaders, HalfCheetah, MultiRoom-N6, sepsis-icu or CartPole-v1; else a ValueError with near matches."""
    if name in PROBES:
        return PROBES[name]
    if plain(name) in atari.shipped():
        return AtariConfig(game=atari.display_names().get(plain(name), name))
    if plain(name) in ROBOTS:
        return ROBOTS[plain(name)]
    if plain(name) == plain(SpaceInvadersObjectsConfig().name):
        return SpaceInvadersObjectsConfig()
    if (treatment := name.lower().removeprefix("health/").removesuffix("-v0")) in TREATMENTS:
        return TREATMENTS[treatment]()
    if name in classic.ids():
        return ClassicConfig(id=name)
    if plain(name) in grid.tasks():
        return GridConfig(task=name)
    if level := language_grid.task_of(name):
        return LanguageGridConfig(task=level)
    robots = (robot.name for robot in ROBOTS.values())
    known = [
        *atari.display_names().values(),
        SpaceInvadersObjectsConfig().name,
        *robots,
        *grid.names(),
        *language_grid.names(),
        *TREATMENTS,
        *classic.ids(),
        *PROBES,
    ]
    raise ValueError(f"There is no environment '{name}'.{near_matches(name, known)}")


def recipe_named(name: str) -> Callable[[Environment], Experiment]:
    return named(name, RECIPES, "algorithm")


def encoder_named(name: str) -> Encoder:
    return named(name, ENCODERS, "encoder")()


def memory_named(name: str) -> Memory:
    return named(name, MEMORIES, "memory")()


def reward_named(name: str) -> RewardModel:
    return named(name, REWARDS, "reward")()


def named(name: str, table: dict[str, Entry], kind: str) -> Entry:
    if name not in table:
        known = ", ".join(sorted(table))
        raise ValueError(f"There is no {kind} '{name}'; there are: {known}.{near_matches(name, table)}")
    return table[name]
