"""Deep Q-learning (Mnih et al. 2015) with what improved it, each a field: Double (van Hasselt et
al. 2016), dueling (Wang et al. 2016), prioritized replay (Schaul et al. 2016), n-step returns,
distributions (Bellemare et al. 2017; Dabney et al. 2018, 2018b), noisy nets (Fortunato et al.
2018), all together (Hessel et al. 2018, Rainbow), Munchausen targets (Vieillard et al. 2020)."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from agents.data import Columns
from agents.engine.config import new_network
from agents.engine.learner import Loss
from agents.engine.off_policy import OffPolicyLearner
from agents.replay.buffer import Frames, Transitions
from agents.settings.dqn import DQN


@torch.no_grad()
def shrink_and_perturb(network: nn.Module, fresh: nn.Module) -> None:
    """Half the way to fresh weights for the encoder, all of it for the rest (Ash and Adams
    2020)."""
    for (name, weights), new in zip(network.named_parameters(), fresh.parameters(), strict=True):
        weights.lerp_(new, 0.5 if name.startswith("encoder.") else 1.0)


def shifted(images: Tensor, pixels: int, random: np.random.Generator) -> Tensor:
    """Images (B, C, H, W), each shifted by up to so many pixels; what comes in is the border,
    repeated (Yarats et al. 2021)."""
    height, width = images.shape[2:]
    rows = images.permute(0, 2, 3, 1).numpy()
    moves = random.integers(2 * pixels + 1, size=(len(rows), 2))
    result = np.empty_like(rows)
    for n, (down, right) in enumerate(moves):
        border = cv2.copyMakeBorder(rows[n], pixels, pixels, pixels, pixels, cv2.BORDER_REPLICATE)
        result[n] = border.reshape(height + 2 * pixels, width + 2 * pixels, -1)[
            down : down + height, right : right + width
        ]
    return torch.from_numpy(result).permute(0, 3, 1, 2)


def soft_log_policy(q_values: Tensor, temperature: float) -> Tensor:
    """The temperature times the log-probabilities of the policy softmax(q / temperature): (B,
    A)."""
    return temperature * (q_values / temperature).log_softmax(-1)


class DQNLearner(OffPolicyLearner):
    settings: DQN
    capturable = True

    def build(self) -> None:
        super().build()
        optimizer: Any = self.get_optimizer()
        optimizer.set_weight_decay(self.settings.weight_decay)

    def learn(self, experience: Frames) -> dict[str, float]:
        every = self.settings.reset_every_updates
        before = self.settings.updates_at(self.env_steps_before)
        if every and self.settings.updates_at(self.env_steps) // every != before // every:
            self.reset()
        return super().learn(experience)

    def reset(self) -> None:
        """Moves the encoder half the way to fresh weights and gives the head fresh ones, which
        keeps a network able to learn that is updated often (D'Oro et al. 2023; Schwarzer et al.
        2023)."""
        with torch.random.fork_rng():
            torch.manual_seed(self.generator.initial_seed())
            fresh = new_network(self.config.experiment).to(self._device)
        for network in (self.bare_network, self.target.network):
            shrink_and_perturb(network, fresh)
        optimizer: Any = self.get_optimizer()
        optimizer.state.clear()
        self._launch = self._new_step()  # a graph reads the optimizer's state where it was

    def horizon(self, env_steps: int) -> tuple[int, float]:
        return self.settings.horizon_at(env_steps)

    def changed(self, drawn: Transitions, random: np.random.Generator) -> Transitions:
        drawn = super().changed(drawn, random)
        if not self.settings.random_shift:
            return drawn
        return replace(
            drawn,
            observations=shifted(drawn.observations, self.settings.random_shift, random),
            next_observations=shifted(drawn.next_observations, self.settings.random_shift, random),
        )

    def columns(self, transitions: Transitions) -> Columns:
        """What the loss asks for; the target network is asked once a visit, about all batches."""
        self.update_target()
        columns = super().columns(transitions)
        after = columns["next_observations"]
        # In double Q-learning each loss asks the online network about them, too.
        if not self.settings.double and self.bare_network.action_mask.columns is None:
            del columns["next_observations"]
        target = self.target.network
        with torch.no_grad():
            target.draw_noise(self.noise)
            columns["target_q"], _ = target(after, target.values.levels(len(after), self.noise))
            if self.settings.munchausen > 0:
                columns["rewards"] = columns["rewards"] + self.munchausen_reward(columns)
        return columns

    def munchausen_reward(self, columns: Columns) -> Tensor:
        """The log-probability (B,) of the action taken, by the target network's soft policy,
        clipped and weighed (Vieillard et al. 2020, equation 6)."""
        settings = self.settings
        q_values = self.target.network.q_values(columns["observations"])
        log_policy = soft_log_policy(q_values, settings.munchausen_temperature)
        taken = log_policy.gather(1, columns["actions"][:, None])[:, 0]
        return settings.munchausen * taken.clamp(settings.munchausen_floor, 0.0)

    def update_target(self) -> None:
        """Moves the target network as far as the last visit's gradient steps would, or copies the
        weights where a multiple of the period has been reached since."""
        rate = self.settings.target_rate
        if rate:
            steps = self.settings.updates_after(self.env_steps - self.env_steps_before)
            self.target.move(1 - (1 - rate) ** steps)
            return
        period = self.settings.target_update_every_env_steps
        if self.env_steps // period != self.env_steps_before // period:
            self.target.copy_weights()

    def loss(self, minibatch: Columns) -> Loss:
        network = self.bare_network
        values = network.values
        network.draw_noise(self.noise)
        rows = torch.arange(len(minibatch["actions"]), device=self._device)
        levels = values.levels(len(rows), self.noise)
        outputs, _ = self.network(minibatch["observations"], levels)
        chosen = outputs[rows, minibatch["actions"]]
        with torch.no_grad():
            following = self.following(minibatch, rows)
        losses, errors = values.loss(
            chosen, minibatch["rewards"], minibatch["discounts"], following, levels
        )
        errors = errors.detach()
        metrics = {"q_mean": values.mean(chosen.detach()).mean(), "td_error": errors.abs().mean()}
        return Loss((minibatch["weights"] * losses).mean(), metrics, errors)

    def following(self, minibatch: Columns, rows: Tensor) -> Tensor:
        """What the target network says of the following observations' values (B, K): of the best
        action, or of all by the soft policy's chances, less its log-probabilities."""
        network = self.bare_network
        target_q = minibatch["target_q"]
        after = minibatch.get("next_observations")
        if self.settings.munchausen > 0:
            temperature = self.settings.munchausen_temperature
            log_policy = soft_log_policy(network.expected(target_q, after), temperature)
            chances = (log_policy / temperature).exp()
            return (chances[..., None] * (target_q - log_policy[..., None])).sum(1)
        choosing_q = network(after)[0] if self.settings.double else target_q
        return target_q[rows, network.expected(choosing_q, after).argmax(-1)]

    def exploration_metrics(self) -> dict[str, float]:
        """The mean of the environments' epsilons."""
        runners = self.config.runner_count
        epsilon = self.settings.exploration_at(
            self.env_steps, self.config.experiment.num_envs, runners
        )
        return {"epsilon": float(epsilon.mean())}
