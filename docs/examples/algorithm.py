"""A new algorithm: advantage actor-critic, A2C (Mnih et al. 2016).

Run it: python -m docs.examples.algorithm
"""

from dataclasses import dataclass, replace

from torch import Tensor

from agents.algorithms.ppo import PPOLearner
from agents.data import Columns
from agents.engine.learner import Loss
from agents.experiment import Experiment
from agents.interfaces import AlgorithmParts
from agents.settings.ppo import PPO
from agents.settings.search_space import LogUniform, SearchSpace
from agents.training.train import train
from common.ranges import Count, PositiveFraction, Size, Steps
from envs.probe import ChoiceConfig
from perception.settings.encoders import MLPConfig


@dataclass(frozen=True)
class A2C(PPO):
    """PPO's settings with defaults for A2C: one gradient step for each rollout, and no clipping of
    the ratio."""

    rollout_length: Steps = 16
    """Steps that each environment takes between two updates."""
    epochs: Count = 1
    """Passes over a rollout; after the first gradient step the policy is not the one that acted."""
    minibatch_size: Size = 128
    """Env steps a gradient step: here all of a rollout of eight environments."""
    learning_rate: PositiveFraction = 3e-3
    """Adam's step size at the start."""

    @property
    def name(self) -> str:
        return "a2c"

    @property
    def search_space(self) -> SearchSpace:
        return {
            "learning_rate": LogUniform(3e-4, 1e-2),
            "entropy_coefficient": LogUniform(1e-5, 3e-2),
        }

    @property
    def parts(self) -> AlgorithmParts:
        return replace(super().parts, learner=A2CLearner)


def a2c_loss(
    log_probs: Tensor, values: Tensor, entropies: Tensor, batch: Columns, settings: A2C
) -> tuple[Tensor, dict[str, Tensor]]:
    """The policy gradient with value loss and entropy bonus, and its parts as metrics; all inputs
    are (B,)."""
    policy_loss = -(batch["advantages"] * log_probs).mean()
    value_loss = 0.5 * ((values - batch["returns"]) ** 2).mean()
    entropy = entropies.mean()
    loss = (
        policy_loss
        + settings.value_coefficient * value_loss
        - settings.entropy_coefficient * entropy
    )
    metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    return loss, {name: value.detach() for name, value in metrics.items()}


class A2CLearner(PPOLearner):
    """Takes rollouts, advantages, minibatches and the gradient step from PPO's learner; the loss is
    its own."""

    settings: A2C  # pyright: ignore[reportIncompatibleVariableOverride]

    def loss(self, minibatch: Columns) -> Loss:
        memory = minibatch["memories"][: len(minibatch["first"]) // self.memory_steps]
        parameters, values, _ = self.network(minibatch["observations"], memory, minibatch["first"])
        distribution = self.bare_network.distribution
        log_probs = distribution.log_prob(parameters, minibatch["actions"])
        return Loss(
            *a2c_loss(log_probs, values, distribution.entropy(parameters), minibatch, self.settings)
        )


def experiment(run_dir: str = "") -> Experiment:
    """Ten times an episode one of four signs is shown, and the action of the same number pays 1;
    chance earns 2.5."""
    return Experiment(
        env=ChoiceConfig(),
        algo=A2C(discount=0.0),
        encoder=MLPConfig(),
        total_env_steps=8_192,
        evaluate_every_env_steps=8_192,
        run_dir=run_dir,
    )


if __name__ == "__main__":
    train(experiment())
