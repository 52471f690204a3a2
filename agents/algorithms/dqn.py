"""Deep Q-learning (Mnih et al. 2015) with what improved it, each a field: Double (van Hasselt et
al. 2016), dueling (Wang et al. 2016), prioritised replay (Schaul et al. 2016), n-step returns,
distributions (Bellemare et al. 2017; Dabney et al. 2018), noisy nets (Fortunato et al. 2018), all
together (Hessel et al. 2018, Rainbow)."""

import torch

from agents.data import Columns
from agents.engine.learner import Loss
from agents.engine.off_policy import OffPolicyLearner
from agents.replay.buffer import Transitions
from agents.settings.dqn import DQN


class DQNLearner(OffPolicyLearner):
    settings: DQN
    capturable = True

    def columns(self, transitions: Transitions) -> Columns:
        """What the loss asks for; the target network is asked once a visit, about all batches."""
        self.update_target()
        columns = super().columns(transitions)
        # In double Q-learning each loss asks the online network about them, too.
        after = (
            columns["next_observations"]
            if self.settings.double
            else columns.pop("next_observations")
        )
        with torch.no_grad():
            self.target.network.draw_noise(self.noise)
            columns["target_q"] = self.target.network(after)
        return columns

    def update_target(self) -> None:
        """Copies the weights where a multiple of the period has been reached since the last
        visit."""
        period = self.settings.target_update_every_env_steps
        if self.env_steps // period != self.env_steps_before // period:
            self.target.copy_weights()

    def loss(self, minibatch: Columns) -> Loss:
        network = self.bare_network
        values = network.values
        network.draw_noise(self.noise)
        rows = torch.arange(len(minibatch["actions"]), device=self._device)
        outputs = self.network(minibatch["observations"])[rows, minibatch["actions"]]
        with torch.no_grad():
            target_q = minibatch["target_q"]
            choosing_q = (
                network(minibatch["next_observations"]) if self.settings.double else target_q
            )
            following = target_q[rows, values.mean(choosing_q).argmax(-1)]
        losses, errors = values.loss(
            outputs, minibatch["rewards"], minibatch["discounts"], following
        )
        errors = errors.detach()
        metrics = {"q_mean": values.mean(outputs.detach()).mean(), "td_error": errors.abs().mean()}
        return Loss((minibatch["weights"] * losses).mean(), metrics, errors)

    def exploration_metrics(self) -> dict[str, float]:
        """The mean of the environments' epsilons."""
        runners = self.config.runner_count
        epsilon = self.settings.exploration_at(
            self.env_steps, self.config.experiment.num_envs, runners
        )
        return {"epsilon": float(epsilon.mean())}
