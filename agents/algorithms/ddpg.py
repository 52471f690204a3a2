"""Deep deterministic policy gradient (Lillicrap et al. 2016), and as a difference from it TD3 (Fujimoto et al. 2018):
twin critics, a policy that is delayed, targets that are smoothed."""

import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from ray.tune import choice, loguniform, uniform
from ray.tune.search.sample import Domain
from torch import Tensor, nn

from agents.algorithms.ranges import require_above, require_within
from agents.engine.adam import Adam, averaged
from agents.engine.deterministic_actor_critic import DeterministicActorCritic
from agents.engine.env_runner import ActionNoiseEnvRunner
from agents.engine.module import use_bf16
from agents.engine.off_policy import OffPolicy, OffPolicyAlgorithm, OffPolicyLearner
from agents.engine.replay import Frames, Transitions
from agents.interfaces import Columns

Gradients = tuple[Tensor, ...]
SEARCH_SPACE: dict[str, Domain] = {
    "learning_rate": loguniform(1e-4, 3e-3),
    "batch_size": choice([64, 128, 256]),
    "discount": choice([0.95, 0.98, 0.99]),
    "target_rate": loguniform(1e-3, 2e-2),
    "noise": uniform(0.05, 0.3),
    "policy_delay": choice([1, 2]),
}
"""Where to look for better settings: those that rl-baselines3-zoo varies, and TD3's delay."""


@dataclass(frozen=True)
class DDPG(OffPolicy):
    """Off-policy: critics learn what actions are worth, a deterministic actor follows their gradient."""

    name: str = "ddpg"
    """What this choice of fields is called, in the run folder's name and in evaluations."""
    hidden_sizes: tuple[int, ...] = (400, 300)
    """Hidden layers of the actor and of each critic, after the encoder (Lillicrap et al. 2016)."""
    target_rate: float = 0.005
    """How far the target networks move towards the networks at a time (tau; Fujimoto et al. 2018)."""
    num_critics: int = 1
    """The target is the least that any of them says."""
    policy_delay: int = 1
    """Gradient steps of the critics for each of the actor and of the target networks."""
    target_noise: float = 0.0
    """Deviation of the noise on the target's actions, as a share of half the action's range."""
    target_noise_limit: float = 0.5
    """Most that this noise may be."""
    noise: float = 0.1
    """Deviation of what is added to the noise on actions at each step of exploring, as a share of half the action's
    range."""
    noise_correlation: float = 0.0
    """What the noise keeps of itself at each step: 0 is Gaussian noise, 0.85 an Ornstein-Uhlenbeck process with theta
    0.15 (Lillicrap et al. 2016), whose deviation grows to 1.9 times `noise`."""
    compile_losses: bool = True
    """Translate the losses and their gradients to machine code at the start, which takes some seconds (torch.compile);
    where no C++ compiler is found, they run as they are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above(self, 0.0, "target_rate", "num_critics", "policy_delay")
        require_within(self, 0.0, 1.0, "target_rate", "noise_correlation")
        require_within(self, 0.0, math.inf, "target_noise", "target_noise_limit", "noise")
        if min(self.hidden_sizes, default=0) < 1:
            raise ValueError(f"hidden_sizes must be at least one width of at least 1, not {self.hidden_sizes}.")

    @property
    def search_space(self) -> dict[str, Domain]:
        return SEARCH_SPACE

    @property
    def algorithm_class(self) -> type:
        return OffPolicyAlgorithm

    @property
    def runner_class(self) -> type:
        return ActionNoiseEnvRunner

    @property
    def learner_class(self) -> type:
        return DDPGLearner

    @property
    def module_class(self) -> type:
        return DeterministicActorCritic

    def check(self, environment: gymnasium.Env, frame_stack: int, num_envs: int, num_learners: int) -> None:
        space = environment.action_space
        one_dimensional = isinstance(space, Box) and len(space.shape) == 1 and space.is_bounded()
        if not (one_dimensional and np.issubdtype(space.dtype, np.floating)):
            raise ValueError(
                f"{self.name.upper()} acts in a one-dimensional Box of real numbers with bounds, not {space}; "
                "try --algo dqn or ppo."
            )
        self.check_replay(environment, frame_stack, num_envs, num_learners)

    def module_config(self) -> dict[str, Any]:
        return {"hidden_sizes": self.hidden_sizes, "num_critics": self.num_critics}

    def exploration_at(self, env_steps: int, num_envs: int, num_runners: int) -> NDArray[np.float32]:
        """Deviation of each environment's noise (num_envs,); infinite, that is any action, until learning starts."""
        deviation = math.inf if env_steps < self.learning_starts_env_steps else self.noise
        return np.full(num_envs, deviation, np.float32)


def smoothing_noise(shape: torch.Size, settings: DDPG, generator: torch.Generator) -> Tensor:
    """Clipped noise for the target's actions (Fujimoto et al. 2018, equation 14)."""
    limit = settings.target_noise_limit
    noise = torch.empty(shape, device=generator.device).normal_(generator=generator)
    return (settings.target_noise * noise).clamp(-limit, limit)


def critic_loss(values: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors of critics (C, B) against targets (B,), summed over critics; and the mean absolute errors (B,)."""
    errors = values - targets
    return (weights * errors**2).mean(1).sum(), errors.detach().abs().mean(0)


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile will find what it needs; a processor's code wants a C++ compiler."""
    return device.type == "cuda" or shutil.which("g++") is not None


def compiled(function: Callable) -> Callable:
    """In machine code, for the shapes of its first call and for nothing else.

    Whether it still fits its module would be asked at each call and take a quarter of a millisecond; shapes, precision
    and module are a learner's for good, and another learner's code is kept apart."""
    torch.compiler.assume_constant_result(use_bf16)  # not where it is defined: it takes seconds that few need
    return torch.compile(  # pyright: ignore[reportCallIssue]
        function,
        fullgraph=True,
        dynamic=False,
        isolate_recompiles=True,
        options={"guard_filter_fn": torch.compiler.skip_all_guards_unsafe},
    )


class DDPGLearner(OffPolicyLearner):
    def build(self) -> None:
        super().build()
        network = self.bare_network
        self.actor_parameters = list(network.actor.parameters())
        learns = (parameter for parameter in network.encoder.parameters() if parameter.requires_grad)
        self.critic_parameters = [*learns, *network.critics.parameters()]
        self.network_parameters = list(network.parameters())
        self.target_parameters = list(self.target.parameters())
        self.critic_steps = 0
        self.policy_loss = torch.zeros((), device=self._device)
        if self.settings.compile_losses and can_compile(self._device):
            # Gradients are compiled with their losses, so that the policy's step spares those of the critics.
            torch._dynamo.config.trace_autograd_ops = True
            # Else it would be told on the terminal that there is no GPU.
            logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
            self.critic_gradients = compiled(self.critic_gradients)
            self.policy_gradients = compiled(self.policy_gradients)

    def columns(self, transitions: Transitions) -> Columns:
        columns = super().columns(transitions)
        columns["actions"] = columns["actions"].float()
        if self.settings.target_noise > 0:
            columns["target_noise"] = smoothing_noise(columns["actions"].shape, self.settings, self.noise)
        return columns

    def targets(self, minibatch: Columns) -> Tensor:
        """What the critics should say (B,): rewards, and the least that the target critics think of what follows."""
        with torch.no_grad():
            features = self.target.features(minibatch["next_observations"])
            actions = self.target.actions(features)
            if "target_noise" in minibatch:
                actions = (actions + minibatch["target_noise"]).clamp(-1, 1)
            following = self.target.values(features, actions).amin(0)
        return minibatch["rewards"] + minibatch["discounts"] * following

    def critic_gradients(self, minibatch: Columns) -> tuple[Gradients, dict[str, Tensor], Tensor]:
        """Of the critics' loss; its terms, and the absolute errors (B,)."""
        features = self.bare_network.features(minibatch["observations"])
        values = self.bare_network.values(features, minibatch["actions"])
        loss, errors = critic_loss(values, self.targets(minibatch), minibatch["weights"])
        terms = {"loss": loss.detach(), "q_mean": values.detach().mean(), "td_error": errors.mean()}
        return torch.autograd.grad(loss, self.critic_parameters), terms, errors

    def policy_gradients(self, observations: Tensor) -> tuple[Gradients, Tensor]:
        """Of how little the first critic thinks of the policy's actions; and that."""
        with torch.no_grad():
            features = self.bare_network.features(observations)
        loss = -self.bare_network.first_value(features, self.bare_network.actions(features)).mean()
        return torch.autograd.grad(loss, self.actor_parameters), loss.detach()

    def _step(self, minibatch: Columns, optimizer: Adam) -> dict[str, Tensor]:
        """A step of the critics, then, of some, one of the actor, which asks the critics that have just learnt."""
        gradients, terms, errors = self.critic_gradients(minibatch)
        self._descend(self.critic_parameters, gradients, optimizer)
        self.critic_steps += 1
        if self.critic_steps % self.settings.policy_delay == 0:
            gradients, self.policy_loss = self.policy_gradients(minibatch["observations"])
            self._descend(self.actor_parameters, gradients, optimizer)
            self._move_target()
        return terms | {"policy_loss": self.policy_loss, "errors": errors}

    def _descend(self, parameters: list[nn.Parameter], gradients: Gradients, optimizer: Adam) -> None:
        """One step of these parameters alone; with several learners, along their mean gradient."""
        optimizer.descend(parameters, averaged(gradients))

    @torch.no_grad()
    def _move_target(self) -> None:
        rate = self.settings.target_rate
        torch._foreach_lerp_(self.target_parameters, self.network_parameters, rate)  # pyright: ignore[reportPrivateImportUsage]

    def after_update(self, experience: Frames) -> dict[str, float]:
        exploration = self.settings.exploration_at(self.env_steps, 1, 1)[0]
        noise = {"noise": float(exploration)} if math.isfinite(exploration) else {}
        return super().after_update(experience) | noise

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component("critic_steps", components, not_components):
            state |= {"critic_steps": self.critic_steps, "policy_loss": self.policy_loss.cpu().numpy()}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "critic_steps" in state:
            self.critic_steps = state["critic_steps"]
            self.policy_loss = torch.as_tensor(state["policy_loss"], device=self._device)
