"""Soft actor-critic (Haarnoja et al. 2018, 2019), and as differences from it TQC (Kuznetsov et al.
2020): critics of quantiles, of which targets leave out the highest; and CrossQ (Bhatt et al. 2024):
batch normalization in place of target networks."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agents.acceleration.adam import Adam, averaged
from agents.acceleration.compiling import compiled
from agents.data import Columns
from agents.engine.learner import TD_ERRORS
from agents.engine.off_policy import OffPolicyLearner
from agents.networks.actor_critic import use_bf16
from agents.networks.value_distributions import quantile_huber_loss
from agents.replay.buffer import Transitions
from agents.settings.sac import SAC

Gradients = tuple[Tensor, ...]


def lowest(values: Tensor, kept: int) -> Tensor:
    """The lowest so many of all that critics say (C, B, Q): (B, kept), in rising order."""
    critics, batch, quantiles = values.shape
    together = values.transpose(0, 1).reshape(batch, critics * quantiles)
    return together.amin(1, keepdim=True) if kept == 1 else together.sort(1).values[:, :kept]


def critic_loss(values: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of critics (C, B, Q) against targets (B, K), summed over critics, and the mean
    absolute errors (B,) of what they expect: squared errors of means, Q = 1, or the quantile Huber
    loss (Dabney et al. 2018)."""
    errors = values.mean(-1) - targets.mean(-1)
    if values.shape[-1] == 1:
        losses = errors.square()
    else:
        losses = quantile_huber_loss(values, targets.expand(len(values), -1, -1))
    return (weights * losses).mean(1).sum(), errors.detach().abs().mean(0)


class CriticGradients(NamedTuple):
    """What a step of the critics needs and reports."""

    gradients: Gradients
    """Of the critics' loss, by the critics' parameters and the encoder's."""
    metrics: dict[str, Tensor]
    td_errors: Tensor
    """Absolute errors (B,)."""


class ActorGradients(NamedTuple):
    """What a step of the actor needs and reports."""

    gradients: Gradients
    """Of the policy's loss, by the actor's parameters."""
    policy_loss: Tensor
    entropy: Tensor
    """The batch's mean entropy, in nats."""


class SACLearner(OffPolicyLearner):
    settings: SAC

    def build(self) -> None:
        super().build()
        network = self.bare_network
        optimizer: Any = self.get_optimizer()
        optimizer.set_beta1(self.settings.adam_beta1)
        remembers = () if network.memory is None else network.memory.parameters()
        learns = (
            parameter
            for parameter in (*network.encoder.parameters(), *remembers)
            if parameter.requires_grad
        )
        self.critic_parameters = [*learns, *network.critics.parameters()]
        self.actor_parameters = network.actor_parameters()
        self.target_entropy = self.settings.target_entropy * network.action_space.shape[0]
        self.actor_steps = DelayedSteps(self.settings.policy_delay, self._device)
        self.saved["actor_steps"] = self.actor_steps
        if self.settings.compile_losses:
            # Not where it is defined: it takes seconds that few need.
            torch.compiler.assume_constant_result(use_bf16)
            # With their gradients, so that the actor's step spares those of the critics.
            self.critic_gradients = compiled(self.critic_gradients)
            self.actor_gradients = compiled(self.actor_gradients)

    def columns(self, transitions: Transitions) -> Columns:
        columns = super().columns(transitions)
        actions = columns["actions"].float()
        columns["actions"] = actions
        for name in ("noise", "next_noise"):
            columns[name] = torch.empty_like(actions).normal_(generator=self.noise)
        return columns

    def features(self, minibatch: Columns) -> Tensor:
        """Of the observations (B, F)."""
        return self.bare_network.features(minibatch["observations"])

    def next_features(self, minibatch: Columns) -> Tensor:
        """Of the observations that followed (B, F)."""
        return self.bare_network.features(minibatch["next_observations"])

    def next_target_features(self, minibatch: Columns) -> Tensor:
        """The same by the target network."""
        return self.target.network.features(minibatch["next_observations"])

    def critic_gradients(self, minibatch: Columns) -> CriticGradients:
        values, targets = self.values_and_targets(minibatch)
        loss, errors = critic_loss(values, targets, minibatch["weights"])
        metrics = {
            "loss": loss.detach(),
            "q_mean": values.detach().mean(),
            "td_error": errors.mean(),
        }
        return CriticGradients(torch.autograd.grad(loss, self.critic_parameters), metrics, errors)

    def values_and_targets(self, minibatch: Columns) -> tuple[Tensor, Tensor]:
        """What the critics say (C, B, Q), and what they should say (B, K): rewards, the lowest that
        is said of what follows, and the following action's entropy."""
        network = self.bare_network
        with torch.no_grad():
            next_actions, next_log_probs = network.sample(
                self.next_features(minibatch), minibatch["next_noise"]
            )
        if self.settings.batch_norm:
            # In one batch, so that both are normalized by the same moments (Bhatt et al. 2024).
            observations = [minibatch["observations"], minibatch["next_observations"]]
            features = network.features(torch.cat(observations))
            actions = torch.cat([minibatch["actions"], next_actions])
            values, next_values = network.values(features, actions, learning=True).chunk(2, 1)
        else:
            values = network.values(self.features(minibatch), minibatch["actions"])
            with torch.no_grad():
                next_values = self.target.network.values(
                    self.next_target_features(minibatch), next_actions
                )
        temperature = network.log_temperature.detach().exp()
        kept = lowest(next_values.detach(), self.settings.kept_quantiles)
        soft = kept - temperature * next_log_probs[:, None]
        return values, minibatch["rewards"][:, None] + minibatch["discounts"][:, None] * soft

    def actor_gradients(self, minibatch: Columns) -> ActorGradients:
        """Gradients of temperature * log pi(a|s) - Q(s, a) for draws of the policy; Q is the lowest
        of the critics' means, or the mean of all quantiles."""
        network = self.bare_network
        with torch.no_grad():
            features = self.features(minibatch).detach()  # they may have been made before
        actions, log_probs = network.sample(features, minibatch["noise"], learning=True)
        values = network.values(features, actions)
        worth = values[..., 0].amin(0) if values.shape[-1] == 1 else values.mean((0, 2))
        loss = (network.log_temperature.detach().exp() * log_probs - worth).mean()
        gradients = torch.autograd.grad(loss, self.actor_parameters)
        return ActorGradients(gradients, loss.detach(), -log_probs.detach().mean())

    def _step(self, minibatch: Columns, optimizer: Adam) -> Columns:
        """A step of the critics and, after every `policy_delay` of them, one of the actor and of
        the temperature."""
        critics = self.critic_gradients(minibatch)
        self._descend(self.critic_parameters, critics.gradients, optimizer)
        if self.actor_steps.due():
            actor = self.actor_gradients(minibatch)
            self._descend(self.actor_parameters, actor.gradients, optimizer)
            self.actor_steps.report(policy_loss=actor.policy_loss, entropy=actor.entropy)
            if self.settings.learn_temperature:
                # The gradient, by its logarithm, of what the entropy is short of its target.
                gradient = actor.entropy - self.target_entropy
                self._descend([self.bare_network.log_temperature], (gradient,), optimizer)
        if not self.settings.batch_norm:
            self.target.move(self.settings.target_rate)
        temperature = self.bare_network.log_temperature.detach().exp()
        return (
            critics.metrics
            | self.actor_steps.metrics
            | {"temperature": temperature, TD_ERRORS: critics.td_errors}
        )

    def _descend(
        self, parameters: list[nn.Parameter], gradients: Gradients, optimizer: Adam
    ) -> None:
        """One step of these parameters alone; with several learners, along their mean gradient."""
        optimizer.descend(parameters, averaged(gradients))


class DelayedSteps:
    """When the actor's steps are due, and what the last one reported."""

    def __init__(self, delay: int, device: torch.device) -> None:
        self.delay = delay
        self.critic_steps = 0
        self.metrics = {name: torch.zeros((), device=device) for name in ("policy_loss", "entropy")}

    def due(self) -> bool:
        """Counts a step of the critics; whether one of the actor follows it."""
        self.critic_steps += 1
        return self.critic_steps % self.delay == 0

    def report(self, policy_loss: Tensor, entropy: Tensor) -> None:
        self.metrics = {"policy_loss": policy_loss, "entropy": entropy}

    def get_state(self) -> dict[str, Any]:
        metrics = {name: value.cpu().numpy() for name, value in self.metrics.items()}
        return {"critic_steps": self.critic_steps, **metrics}

    def set_state(self, state: dict[str, Any]) -> None:
        self.critic_steps = state["critic_steps"]
        self.metrics = {
            name: torch.as_tensor(state[name], device=value.device)
            for name, value in self.metrics.items()
        }
