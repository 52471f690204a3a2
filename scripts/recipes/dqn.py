"""DQN's tuned settings by kind of environment and the classic sets of its fields, with where the
numbers come from."""

from collections.abc import Callable
from dataclasses import fields, replace

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.dqn import DQN
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.pqn import PQN
from agents.settings.r2d2 import R2D2
from perception.settings.encoders import ImpalaResNetConfig, MLPConfig, NatureCNNConfig
from perception.settings.memory import RecurrentConfig
from perception.settings.module_encoders import ListEncoderConfig
from scripts.recipes import ppo
from scripts.recipes.kinds import row_for
from scripts.recipes.observations import encoder_for, observation_space


def recipe(environment: Environment) -> Experiment:
    """Mnih et al. 2015, with Adam."""
    return experiment(environment, settings(environment))


def double(environment: Environment) -> Experiment:
    """Van Hasselt et al. 2016."""
    return experiment(environment, replace(settings(environment), name="double-dqn", double=True))


def quantile(environment: Environment) -> Experiment:
    """Dabney et al. 2018, section 5: 200 quantiles; on images Adam at 5e-5 with epsilon 0.01 / 32,
    unclipped."""
    algo = replace(settings(environment), name="qr-dqn", values="quantile", max_gradient_norm=1e6)
    if sees_images(environment):
        algo = replace(algo, learning_rate=5e-5, adam_epsilon=0.01 / 32)
    return experiment(environment, algo)


def rainbow(environment: Environment) -> Experiment:
    """Hessel et al. 2018, table 1: everything, noisy nets instead of epsilon; on images three steps and Adam at
    6.25e-5. Streams begin at the convolutions, so that the widest layers are noisy, too."""
    algo = replace(
        settings(environment),
        name="rainbow",
        double=True,
        dueling=True,
        noisy=True,
        values="categorical",
        priority_exponent=0.5,
        importance_exponent=0.4,
        epsilon_start=0.0,
        epsilon_end=0.0,
    )
    if sees_images(environment):
        algo = replace(algo, n_step=3, learning_rate=6.25e-5, adam_epsilon=1.5e-4)
        whole = experiment(environment, algo)
        return (
            replace(whole, encoder=NatureCNNConfig(features=0))
            if whole.encoder == NatureCNNConfig()
            else whole
        )
    # Returns are not clipped here: with this discount, up to 100 rewards of 1.
    return experiment(environment, replace(algo, stream_width=256, value_limit=100.0))


def beyond_rainbow(environment: Environment) -> Experiment:
    """Clark et al. 2024, table 3: implicit quantiles, Munchausen targets, large batches now and
    then, and a residual network with spectral normalization. Its width here is a fourth of theirs,
    which a processor can train."""
    algo = replace(
        settings(environment),
        name="btr",
        dueling=True,
        noisy=True,
        values="implicit-quantile",
        num_quantiles=8,
        munchausen=0.9,
        n_step=3,
        priority_exponent=0.2,
        epsilon_start=1.0,
        epsilon_end=0.01,
    )
    if not sees_images(environment):
        return experiment(environment, replace(algo, stream_width=256))
    algo = replace(
        algo,
        discount=0.997,
        batch_size=256,
        update_every_env_steps=64,
        learning_starts_env_steps=10_000,
        target_update_every_env_steps=8_000,
        learning_rate=1e-4,
        adam_epsilon=0.005 / 256,
        epsilon_decay_env_steps=50_000,
    )
    whole = replace(experiment(environment, algo), num_envs=64)
    if whole.encoder != NatureCNNConfig():
        return whole
    encoder = ImpalaResNetConfig(
        channels=(8, 16, 16), features=0, spectral_norm=True, pooled_size=6
    )
    return replace(whole, encoder=encoder)


def data_efficient(environment: Environment) -> Experiment:
    """Schwarzer et al. 2023 with the Nature CNN: a gradient step for each env step, which resets,
    weight decay, random shifts, an annealed n and an annealed discount make bearable."""
    algo = replace(
        settings(environment),
        name="data-efficient",
        double=True,
        dueling=True,
        values="categorical",
        priority_exponent=0.5,
        n_step=3,
        target_rate=0.005,
        weight_decay=0.1,
        anneal_updates=10_000,
        reset_every_updates=40_000,
        update_every_env_steps=1,
        rollout_length=1,
        batch_size=32,
        learning_starts_env_steps=2_000,
        epsilon_end=0.0,
        epsilon_decay_env_steps=4_000,
        replay_capacity=200_000,
    )
    if not sees_images(environment):
        return experiment(environment, replace(algo, stream_width=256, value_limit=100.0))
    algo = replace(algo, discount=0.997, learning_rate=1e-4, adam_epsilon=1.5e-4)
    whole = experiment(environment, algo)
    if whole.encoder == NatureCNNConfig():
        whole = replace(whole, algo=replace(algo, random_shift=4))
    return replace(
        whole,
        num_envs=8,
        total_env_steps=100_000,
        evaluate_every_env_steps=20_000,
        checkpoint_every_env_steps=20_000,
    )


def recurrent(environment: Environment) -> Experiment:
    """Kapturowski et al. 2019 with half their stretches: what is seen is remembered by an LSTM. No
    priorities, and rewards as other recipes have them."""
    base = settings(environment)
    names = {field.name for field in fields(base)} - {"name"}
    algo = R2D2(**{name: getattr(base, name) for name in names})
    algo = replace(
        algo, double=True, dueling=True, n_step=max(3, algo.n_step), update_every_env_steps=32
    )
    if not sees_images(environment):
        algo = replace(algo, stream_width=256, rollout_length=8)
    return replace(experiment(environment, algo), memory=RecurrentConfig(steps=20))


def parallelized(environment: Environment) -> Experiment:
    """Gallici et al. 2024: 128 environments, two epochs, layer normalization; smaller rollouts for
    vectors."""
    whole = experiment(environment, settings(environment))
    if not sees_images(environment):
        algo = PQN(learning_rate=1e-3, epsilon_decay_env_steps=20_000, epsilon_end=0.04)
        return replace(whole, algo=algo, num_envs=16)
    encoder = (
        NatureCNNConfig(layer_norm=True) if whole.encoder == NatureCNNConfig() else whole.encoder
    )
    return replace(whole, algo=PQN(), encoder=encoder, num_envs=128)


# Replay, batch, update period and discount are those of Mnih et al. 2015, extended data table 1.
# They trained for 50 million env steps; for one million, learning start and final epsilon are
# Dopamine's (Castro et al. 2018), learning rate, Adam's epsilon, gradient norm and target period
# those of Stable-Baselines3's tuned settings for Atari, where epsilon falls in a tenth of the run,
# too. One step of 32 games and eight updates: fewer, larger passes through the network than four
# steps of eight games.
ATARI = DQN()

# CartPole and its like: many updates, five steps of real rewards. With a target network copied
# every 100 env steps one seed in three was lost in the end, with 500 none of seven. The learning
# rate is annealed, or what was learnt is lost.
CLASSIC_CONTROL = DQN(
    rollout_length=4,
    update_every_env_steps=2,
    batch_size=128,
    learning_starts_env_steps=1_000,
    target_update_every_env_steps=500,
    replay_capacity=100_000,
    n_step=5,
    learning_rate=1e-3,
    anneal_learning_rate=True,
    epsilon_end=0.04,
    epsilon_decay_env_steps=8_000,
    evaluation_epsilon=0.0,
)


# Rooms are seen in part and pay once, at their end: explored for longer. Not tuned.
GRIDS = replace(CLASSIC_CONTROL, epsilon_end=0.1, epsilon_decay_env_steps=100_000)


VECTORS = MLPConfig(hidden_sizes=(256, 256), activation="relu")


def settings(environment: Environment) -> DQN:
    """DQN's settings for the environment's kind."""
    return row_for(environment, SETTINGS_BY_KIND)


def experiment(environment: Environment, algo: DQN) -> Experiment:
    """An experiment of these settings, with the encoder and lengths for the environment's kind."""
    return row_for(environment, BY_KIND)(environment, algo)


def grids(environment: Environment, algo: DQN) -> Experiment:
    """PPO's network and lengths."""
    return replace(ppo.recipe(environment), algo=algo)


def images(environment: Environment, algo: DQN) -> Experiment:
    """An experiment with the encoder for the environment's images, and 32 environments."""
    encoder = encoder_for(observation_space(environment), VECTORS)
    return Experiment(env=environment, algo=algo, encoder=encoder, num_envs=32)


def atari(environment: Environment, algo: DQN) -> Experiment:
    """As for other images, with rewards of -1, 0 and 1; other environments' rewards have sizes that
    may mean something."""
    return replace(images(environment, algo), reward=EnvironmentReward(clip_to_sign=True))


def atari_objects(environment: Environment, algo: DQN) -> Experiment:
    """Atari's experiment, for a list of what is on the screen."""
    return replace(atari(environment, algo), encoder=ListEncoderConfig())


def vectors(environment: Environment, algo: DQN) -> Experiment:
    """CartPole and its like: two layers of 256, and 50,000 env steps."""
    return Experiment(
        env=environment,
        algo=algo,
        encoder=encoder_for(observation_space(environment), VECTORS),
        num_envs=8,
        total_env_steps=50_000,
        evaluate_every_env_steps=25_000,
        checkpoint_every_env_steps=25_000,
    )


def sees_images(environment: Environment) -> bool:
    """Whether the settings are those for images, or for what is in them."""
    return settings(environment) == ATARI


SETTINGS_BY_KIND: dict[str, DQN] = {
    "atari": ATARI,
    "atari-objects": ATARI,
    "grid": GRIDS,
    "instructed-grid": GRIDS,
    "discrete-images": ATARI,
    "discrete-vectors": CLASSIC_CONTROL,
    "continuous-images": ATARI,  # refused by the settings' check, which says why
    "continuous-vectors": CLASSIC_CONTROL,
}
BY_KIND: dict[str, Callable[[Environment, DQN], Experiment]] = {
    "atari": atari,
    "atari-objects": atari_objects,
    "grid": grids,
    "instructed-grid": grids,
    "discrete-images": images,
    "discrete-vectors": vectors,
    "continuous-images": images,
    "continuous-vectors": vectors,
}
