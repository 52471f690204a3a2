"""Named experiments: the only table of strings, from what users type to what is built."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from agents.experiment import Experiment
from agents.interfaces import Encoder, Environment, Memory, RewardModel
from agents.settings.no_memory import NoMemory
from envs import classic
from envs.atari import games as atari
from envs.atari.games import AtariConfig
from envs.atari.objects import SpaceInvadersObjectsConfig
from envs.classic import ClassicConfig
from envs.grids import instructed as language_grid
from envs.grids import minigrid as grid
from envs.grids.instructed import LanguageGridConfig
from envs.grids.minigrid import GridConfig
from envs.health import TREATMENTS
from envs.names import Imported, near_matches, plain
from envs.probe import ChoiceConfig, CountingConfig, KeysConfig, RecallConfig, TargetConfig
from envs.robots import locomotion, panda
from envs.robots.grasp import KukaGraspConfig
from envs.robots.locomotion import LocomotionConfig
from envs.robots.navigate import NavigateConfig
from envs.robots.panda import PandaConfig
from perception.settings.memory import RecurrentConfig

Entry = TypeVar("Entry")

PROBES: dict[str, Environment] = {
    c.name: c
    for c in (CountingConfig(), TargetConfig(), ChoiceConfig(), KeysConfig(), RecallConfig())
}
ROBOTS: dict[str, Environment] = {
    plain(c.name): c
    for c in (
        *(LocomotionConfig(robot) for robot in locomotion.RANDOM_RETURNS),
        *(PandaConfig(task) for task in panda.RANDOM_RETURNS),
        KukaGraspConfig(),
        NavigateConfig(),
    )
}
ENCODERS: Imported[Callable[[], Encoder]] = Imported(
    {
        "mlp": "perception.settings.encoders:MLPConfig",
        "nature": "perception.settings.encoders:NatureCNNConfig",
        "impala": "perception.settings.encoders:ImpalaResNetConfig",
        "parts": "perception.settings.encoders:PartsConfig",
        "grid": "perception.settings.encoders:GridEncoderConfig",
        "instructed": "scripts.recipes.instructed:by_words",
        "instructed-sentences": "scripts.recipes.instructed:by_sentences",
        "notes": "language.settings.encoders:NoteEncoderConfig",
        "record": "perception.settings.encoders:RecordEncoderConfig",
        "filtered": "perception.settings.encoders:FilteredEncoderConfig",
        "components": "perception.settings.module_encoders:ComponentsEncoderConfig",
        "classifier": "perception.settings.module_encoders:ClassifierEncoderConfig",
        "vgg16": "perception.settings.module_encoders:VGG16EncoderConfig",
        "unet": "perception.settings.module_encoders:UNetEncoderConfig",
        "objects": "perception.settings.module_encoders:ListEncoderConfig",
        "yolo": "perception.settings.module_encoders:YOLOEncoderConfig",
        "ssd": "perception.settings.module_encoders:SSDEncoderConfig",
        "maskrcnn": "perception.settings.module_encoders:MaskRCNNEncoderConfig",
    }
)
MEMORIES: dict[str, Callable[[], Memory]] = {
    "none": NoMemory,
    "rnn": partial(RecurrentConfig, cell="rnn"),
    "gru": partial(RecurrentConfig, cell="gru"),
    "lstm": partial(RecurrentConfig, cell="lstm"),
}
REWARDS: Imported[type[RewardModel]] = Imported(
    {
        "environment": "agents.settings.environment_reward:EnvironmentReward",
        "rnd": "perception.settings.rewards:NoveltyRewardConfig",
        "gail": "perception.settings.rewards:DiscriminatorRewardConfig",
        "similarity": "language.settings.rewards:SimilarityRewardConfig",
    }
)
RECIPES: Imported[Callable[[Environment], Experiment]] = Imported(
    {
        "ppo": "scripts.recipes.ppo:recipe",
        "appo": "scripts.recipes.ppo:asynchronous",
        "dqn": "scripts.recipes.dqn:recipe",
        "double-dqn": "scripts.recipes.dqn:double",
        "rainbow": "scripts.recipes.dqn:rainbow",
        "qr-dqn": "scripts.recipes.dqn:quantile",
        "btr": "scripts.recipes.dqn:beyond_rainbow",
        "data-efficient": "scripts.recipes.dqn:data_efficient",
        "r2d2": "scripts.recipes.dqn:recurrent",
        "pqn": "scripts.recipes.dqn:parallelized",
        "ddpg": "scripts.recipes.ddpg:recipe",
        "td3": "scripts.recipes.ddpg:twin_delayed",
        "sac": "scripts.recipes.sac:recipe",
        "tqc": "scripts.recipes.sac:quantile_critics",
        "crossq": "scripts.recipes.sac:batch_normalized",
        "recurrent-sac": "scripts.recipes.sac:recurrent",
        "bc": "scripts.recipes.bc:recipe",
        "cql": "scripts.recipes.offline:conservative",
        "iql": "scripts.recipes.offline:implicit",
    }
)
SAVED_CLASSES: Imported[type] = Imported(
    {
        place.partition(":")[2]: place
        for place in (
            "envs.atari.games:AtariConfig",
            "envs.atari.objects:SpaceInvadersObjectsConfig",
            "envs.classic:ClassicConfig",
            "envs.grids.minigrid:GridConfig",
            "envs.grids.instructed:LanguageGridConfig",
            "envs.robots.locomotion:LocomotionConfig",
            "envs.robots.panda:PandaConfig",
            "envs.robots.grasp:KukaGraspConfig",
            "envs.robots.navigate:NavigateConfig",
            "envs.probe:CountingConfig",
            "envs.probe:TargetConfig",
            "envs.probe:ChoiceConfig",
            "envs.probe:KeysConfig",
            "envs.probe:RecallConfig",
            "agents.settings.ppo:PPO",
            "agents.settings.appo:APPO",
            "agents.settings.dqn:DQN",
            "agents.settings.pqn:PQN",
            "agents.settings.r2d2:R2D2",
            "agents.settings.ddpg:DDPG",
            "agents.settings.recurrent_sac:RecurrentSAC",
            "agents.settings.sac:SAC",
            "agents.settings.bc:BC",
            "agents.settings.cql:CQL",
            "agents.settings.iql:IQL",
            "agents.experiment:Resources",
            "agents.settings.no_memory:NoMemory",
            "perception.settings.memory:RecurrentConfig",
            "perception.settings.encoders:InstructedEncoderConfig",
            "language.settings.encoders:ReaderConfig",
            "language.settings.encoders:SentenceReaderConfig",
            *TREATMENTS.places.values(),
            *ENCODERS.places.values(),
            *REWARDS.places.values(),
        )
        if not place.startswith("scripts.")  # which compose classes that are here already
    }
)
"""Every class that an experiment.json may name."""


@dataclass(frozen=True)
class Family:
    """Environments that are found by name in the same way."""

    find: Callable[[str], Environment | None]
    """The environment that a name stands for, if it is one of the family."""
    names: Callable[[], Iterable[str]]
    """All names, to propose those that come near."""


def atari_game(name: str) -> Environment | None:
    """The Atari game of this name, if any. Raises ValueError for a game of several players."""
    if plain(name) not in atari.shipped():
        return None
    atari.rom_of(name)  # raises ValueError for a game of several players
    return AtariConfig(game=atari.display_names()[plain(name)])


def objects_of_space_invaders(name: str) -> Environment | None:
    """Space Invaders seen as a list of objects, if that is what the name stands for."""
    objects = SpaceInvadersObjectsConfig()
    return objects if plain(name) == plain(objects.name) else None


def treatment(name: str) -> Environment | None:
    """The treatment of a name such as sepsis-icu or health/sepsis-icu-v0, if there is one."""
    slug = name.lower().removeprefix("health/").removesuffix("-v0")
    return TREATMENTS[slug]() if slug in TREATMENTS else None


def instructed_grid(name: str) -> Environment | None:
    """The BabyAI level of a name such as LanguageGoToLocal, if there is one."""
    level = language_grid.task_of(name)
    return LanguageGridConfig(task=level) if level else None


FAMILIES = (
    Family(PROBES.get, lambda: PROBES),
    Family(atari_game, lambda: atari.display_names().values()),
    Family(lambda name: ROBOTS.get(plain(name)), lambda: [robot.name for robot in ROBOTS.values()]),
    Family(objects_of_space_invaders, lambda: [SpaceInvadersObjectsConfig().name]),
    Family(treatment, lambda: TREATMENTS),
    Family(lambda name: ClassicConfig(id=name) if name in classic.ids() else None, classic.ids),
    Family(lambda name: GridConfig(task=name) if plain(name) in grid.tasks() else None, grid.names),
    Family(instructed_grid, language_grid.names),
)
"""The first family that knows a name has it."""


def environment_named(name: str) -> Environment:
    """SpaceInvaders, HalfCheetah, MultiRoom-N6, sepsis-icu or CartPole-v1; else a ValueError with
    near matches."""
    for family in FAMILIES:
        if (found := family.find(name)) is not None:
            return found
    known = [known for family in FAMILIES for known in family.names()]
    raise ValueError(f"There is no environment '{name}'.{near_matches(name, known)}")


def recipe_named(name: str) -> Callable[[Environment], Experiment]:
    """The recipe of an algorithm. Raises ValueError for an unknown name."""
    return named(name, RECIPES, "algorithm")


def encoder_named(name: str) -> Encoder:
    """An encoder's default settings, by name. Raises ValueError for an unknown name."""
    return named(name, ENCODERS, "encoder")()


def memory_named(name: str) -> Memory:
    """A memory's default settings, by name. Raises ValueError for an unknown name."""
    return named(name, MEMORIES, "memory")()


def reward_named(name: str) -> RewardModel:
    """A reward model's default settings, by name. Raises ValueError for an unknown name."""
    return named(name, REWARDS, "reward")()


def named(name: str, table: Mapping[str, Entry], kind: str) -> Entry:
    """The entry of the table under this name. Raises ValueError for an unknown one, with the known
    names and near matches; `kind` is what the message calls an entry."""
    if name not in table:
        known = ", ".join(sorted(table))
        raise ValueError(
            f"There is no {kind} '{name}'; there are: {known}.{near_matches(name, table)}"
        )
    return table[name]
