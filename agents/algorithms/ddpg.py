"""Deep deterministic policy gradient (Lillicrap et al. 2016), and as a difference from it TD3
(Fujimoto et al. 2018): twin critics, a policy that is delayed, targets that are smoothed."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agents.acceleration.adam import Adam, averaged
from agents.acceleration.compiling import compiled
from agents.data import Columns
from agents.engine.learner import TD_ERRORS
from agents.engine.off_policy import OffPolicyLearner
from agents.networks.actor_critic import use_bf16
from agents.replay.buffer import Transitions
from agents.settings.ddpg import DDPG

Gradients = tuple[Tensor, ...]


def smoothing_noise(shape: torch.Size, settings: DDPG, generator: torch.Generator) -> Tensor:
    """Clipped noise for the target's actions (Fujimoto et al. 2018, equation 14)."""
    limit = settings.target_noise_limit
    noise = torch.empty(shape, device=generator.device).normal_(generator=generator)
    return (settings.target_noise * noise).clamp(-limit, limit)


def critic_loss(values: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors of critics (C, B) against targets (B,), summed over critics; and the mean
    absolute errors (B,)."""
    errors = values - targets
    return (weights * errors**2).mean(1).sum(), errors.detach().abs().mean(0)


class CriticGradients(NamedTuple):
    """What a step of the critics needs and says."""

    gradients: Gradients
    """Of the critics' loss, by the critics' parameters and the encoder's."""
    metrics: dict[str, Tensor]
    td_errors: Tensor
    """Absolute errors (B,)."""


class DDPGLearner(OffPolicyLearner):
    settings: DDPG

    def build(self) -> None:
        super().build()
        network = self.bare_network
        self.actor_parameters = list(network.actor.parameters())
        learns = (
            parameter for parameter in network.encoder.parameters() if parameter.requires_grad
        )
        self.critic_parameters = [*learns, *network.critics.parameters()]
        self.critic_steps = 0
        self.policy_loss = torch.zeros((), device=self._device)
        if self.settings.compile_losses:
            # Not where it is defined: it takes seconds that few need.
            torch.compiler.assume_constant_result(use_bf16)
            # With their gradients, so that the policy's step spares those of the critics.
            self.critic_gradients = compiled(self.critic_gradients)
            self.policy_gradients = compiled(self.policy_gradients)

    def columns(self, transitions: Transitions) -> Columns:
        """As in the base class, with float32 actions and `target_noise` (B, A) where the settings
        have any."""
        columns = super().columns(transitions)
        columns["actions"] = columns["actions"].float()
        if self.settings.target_noise > 0:
            columns["target_noise"] = smoothing_noise(
                columns["actions"].shape, self.settings, self.noise
            )
        return columns

    def targets(self, minibatch: Columns) -> Tensor:
        """What the critics should say (B,): rewards, and the lowest of the target critics' values
        of what follows."""
        target = self.target.network
        with torch.no_grad():
            features = target.features(minibatch["next_observations"])
            actions = target.actions(features)
            if "target_noise" in minibatch:
                actions = (actions + minibatch["target_noise"]).clamp(-1, 1)
            following = target.values(features, actions).amin(0)
        return minibatch["rewards"] + minibatch["discounts"] * following

    def critic_gradients(self, minibatch: Columns) -> CriticGradients:
        """Gradients of the weighted squared TD errors, summed over the critics, with metrics and
        errors."""
        features = self.bare_network.features(minibatch["observations"])
        values = self.bare_network.values(features, minibatch["actions"])
        loss, errors = critic_loss(values, self.targets(minibatch), minibatch["weights"])
        metrics = {
            "loss": loss.detach(),
            "q_mean": values.detach().mean(),
            "td_error": errors.mean(),
        }
        return CriticGradients(torch.autograd.grad(loss, self.critic_parameters), metrics, errors)

    def policy_gradients(self, observations: Tensor) -> tuple[Gradients, Tensor]:
        """Gradients of the actor's loss -Q1(s, pi(s)), and the loss."""
        with torch.no_grad():
            features = self.bare_network.features(observations)
        # Features have no gradient: the encoder learns from the critics alone.
        loss = -self.bare_network.first_value(features, self.bare_network.actions(features)).mean()
        return torch.autograd.grad(loss, self.actor_parameters), loss.detach()

    def _step(self, minibatch: Columns, optimizer: Adam) -> Columns:
        """A step of the critics and, after every `policy_delay` of them, one of the actor by the
        critics' new weights."""
        critics = self.critic_gradients(minibatch)
        self._descend(self.critic_parameters, critics.gradients, optimizer)
        self.critic_steps += 1
        if self.critic_steps % self.settings.policy_delay == 0:
            gradients, self.policy_loss = self.policy_gradients(minibatch["observations"])
            self._descend(self.actor_parameters, gradients, optimizer)
            self.target.move(self.settings.target_rate)
        return critics.metrics | {"policy_loss": self.policy_loss, TD_ERRORS: critics.td_errors}

    def _descend(
        self, parameters: list[nn.Parameter], gradients: Gradients, optimizer: Adam
    ) -> None:
        """One step of these parameters alone; with several learners, along their mean gradient."""
        optimizer.descend(parameters, averaged(gradients))

    def exploration_metrics(self) -> dict[str, float]:
        """Deviation of the noise on actions; nothing as long as actions are drawn by chance
        alone."""
        noise = self.settings.exploration_at(self.env_steps, 1, 1)[0]
        return {"noise": float(noise)} if math.isfinite(noise) else {}

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component("critic_steps", components, not_components):
            state |= {
                "critic_steps": self.critic_steps,
                "policy_loss": self.policy_loss.cpu().numpy(),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "critic_steps" in state:
            self.critic_steps = state["critic_steps"]
            self.policy_loss = torch.as_tensor(state["policy_loss"], device=self._device)
