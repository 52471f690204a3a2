"""Deep Q-learning (Mnih et al. 2015) with what improved it, each a field: Double (van Hasselt et al. 2016), dueling
(Wang et al. 2016), prioritised replay (Schaul et al. 2016), n-step returns, distributions (Bellemare et al. 2017;
Dabney et al. 2018), noisy nets (Fortunato et al. 2018), all together (Hessel et al. 2018, Rainbow)."""

import torch
from torch import Tensor

from agents.engine.off_policy import OffPolicyLearner
from agents.engine.replay import Frames, Transitions
from agents.interfaces import Columns


class DQNLearner(OffPolicyLearner):
    capturable = True

    def columns(self, transitions: Transitions) -> Columns:
        """What the loss asks for; the target network is asked once a visit, about all batches."""
        period = self.settings.target_update_every_env_steps
        if self.env_steps // period != self.env_steps_before // period:
            self.target.load_state_dict(self.bare_network.state_dict())
        columns = super().columns(transitions)
        after = columns["next_observations"] if self.settings.double else columns.pop("next_observations")
        with torch.no_grad():
            self.target.draw_noise(self.noise)
            columns["following"] = self.target(after)
        return columns

    def loss(self, minibatch: Columns) -> tuple[Tensor, dict[str, Tensor]]:
        network, values = self.bare_network, self.bare_network.values
        network.draw_noise(self.noise)
        everything = torch.arange(len(minibatch["actions"]), device=self._device)
        outputs = self.network(minibatch["observations"])[everything, minibatch["actions"]]
        with torch.no_grad():
            following = minibatch["following"]
            judged = network(minibatch["next_observations"]) if self.settings.double else following
            following = following[everything, values.mean(judged).argmax(-1)]
        losses, errors = values.loss(outputs, minibatch["rewards"], minibatch["discounts"], following)
        errors = errors.detach()
        terms = {"q_mean": values.mean(outputs.detach()).mean(), "td_error": errors.abs().mean(), "errors": errors}
        return (minibatch["weights"] * losses).mean(), terms

    def after_update(self, experience: Frames) -> dict[str, float]:
        runners = max(1, self.config.num_env_runners)
        num_envs = experience.num_envs * max(1, self.config.num_learners)
        epsilon = self.settings.exploration_at(self.env_steps, num_envs, runners)
        return super().after_update(experience) | {"epsilon": float(epsilon.mean())}
