"""Learns from columns: mixed precision, a fused optimiser, one host synchronisation an update."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch import Tensor, nn

from agents.engine.adam import Adam
from agents.engine.allocator import keep_freed_memory
from agents.engine.cuda_graph import CUDAGraph
from agents.engine.packing import Packing
from agents.engine.reward_model import LearntReward
from agents.interfaces import Columns, Experience


class ColumnarLearner(TorchLearner):
    """RLlib's learner with its update loop replaced; an algorithm adds two methods.

    `minibatches(experience, terms)` gives the columns (B, ...) of each gradient step, on the device.
    `loss(minibatch)` gives the loss and its terms, detached scalars by metric name; where several losses take turns,
    `_step` takes its place. Where `capturable` says that it depends on nothing but the minibatch, the weights,
    `progress_of_loss` and `draws_from`, a GPU takes a gradient step as one CUDA graph, if the network is `capturable`.
    """

    capturable = False
    draws_from: tuple[torch.Generator, ...] = ()
    """Where a gradient step's chance comes from."""
    step: Callable[[Columns], dict[str, Tensor]] | None

    config: Any
    _module: Any
    _params: Any
    progress: float
    """The share of the run that was done before this update."""
    progress_of_loss: Any = 0.0
    """The same for the loss: a tensor () where a graph reads it, which is then changed in its place."""

    def build(self) -> None:
        keep_freed_memory()
        # What comes by the object store cannot be written to, and nobody does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        super().build()
        self.settings = self.config.learner_config_dict["algorithm"]
        self.reward_of = self.config.learner_config_dict["reward"]
        self.total_env_steps: int = self.config.learner_config_dict["total_env_steps"]
        self.generator = torch.Generator()
        spaces = self.bare_network.observation_space, self.bare_network.action_space
        model = self.reward_of.build(*spaces)
        self.reward_model = LearntReward(model, Packing(spaces[0]), self._device, self.generator) if model else None
        self.step = None
        if self.config.num_learners > 0 and not torch.cuda.is_available():
            torch.set_num_threads(self.config.learner_config_dict["threads_per_learner"])

    def minibatches(self, experience: Any, terms: list[dict[str, Tensor]]) -> Iterator[Columns]:
        """`terms` has those of every gradient step of this update so far."""
        raise NotImplementedError

    def loss(self, minibatch: Columns) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError

    def compute_loss_for_module(self, **_: Any) -> Tensor:
        """Asked for by RLlib's own update, which this class replaces."""
        raise NotImplementedError

    def after_update(self, experience: Any) -> dict[str, float]:
        """Called after the gradient steps; gives metrics of the update as a whole."""
        return {}

    def update(self, *, training_data, timesteps: dict[str, Any], **_: Any) -> dict[str, float]:
        """All gradient steps for some new experience; returns the terms' means by metric name.

        Raises FloatingPointError when the loss stopped being a finite number.
        """
        experience: Experience = training_data.batch
        self._weights_seq_no += 1
        self.env_steps = timesteps[NUM_ENV_STEPS_SAMPLED_LIFETIME]
        self.env_steps_before = self.env_steps - experience.env_steps() * max(1, self.config.num_learners)
        self.progress = min(1.0, self.env_steps_before / self.total_env_steps)
        self.step = self.step or self._new_step()
        if isinstance(self.progress_of_loss, Tensor):
            self.progress_of_loss.fill_(self.progress)
        else:
            self.progress_of_loss = self.progress
        # By the step that it is, not by what was drawn before, so that a resumed run draws the same.
        entropy = [self.config.seed or 0, self._learner_index, self.env_steps]
        self.generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        optimizer: Any = self.get_optimizer()
        learning_rate = self.settings.learning_rate_at(self.progress)
        optimizer.set_learning_rate(learning_rate)
        terms: list[dict[str, Tensor]] = []
        for minibatch in self.minibatches(experience, terms):
            terms.append(self.step(minibatch))
        means = self._means(terms) if terms else {}
        if terms and self.reward_model is not None:
            means |= self.reward_model.metrics()
        if not np.isfinite(means.get("loss", 0.0)):
            raise FloatingPointError(
                f"The loss became {means['loss']} after {self.env_steps:,} env steps; "
                "lower the learning rate, or use --precision fp32."
            )
        return means | self.after_update(experience) | {"learning_rate": learning_rate}

    def rewards(
        self, rewards: np.ndarray, observations: Tensor, actions: Tensor, experience: Experience | None = None
    ) -> np.ndarray:
        """What the learner is rewarded for (T, B): the environment's rewards (T, B) as it takes them, and a reward
        model's, which then learns from these steps: packed observations (T * B, ...) and the network's actions
        (T * B, ...), of which it is shown what the environment got.

        `experience` is where they come from, if its rows are in the order in which they were lived."""
        own = self.reward_of.of_environment(rewards)
        if self.reward_model is None:
            return own
        repeated = torch.zeros(len(actions), dtype=torch.bool, device=self._device)
        if experience is not None:
            repeated = self.to_device(experience.repeated())
        sent = torch.from_numpy(self.bare_network.to_environment(actions.cpu().numpy())).to(self._device)
        steps = self.reward_model.steps(observations, sent, repeated)
        added = self.reward_model.reward(steps).reshape(rewards.shape)
        self.reward_model.learn(steps)
        return own + added

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self.reward_model is not None and self._check_component("reward_model", components, not_components):
            state["reward_model"] = self.reward_model.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.step = None  # a graph reads the optimiser's state where it was
        if self.reward_model is not None and "reward_model" in state:
            self.reward_model.set_state(state["reward_model"])

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        parameters: Any = self.get_parameters(self._module[module_id])
        settings = self.config.learner_config_dict["algorithm"]
        optimizer = Adam(parameters, settings.learning_rate, settings.adam_epsilon)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=parameters)

    @property
    def network(self) -> nn.Module:
        """The module to call in the loss; wrapped by DDP when there are several learners."""
        return self._module[DEFAULT_MODULE_ID]

    @property
    def bare_network(self) -> Any:
        return self._module[DEFAULT_MODULE_ID].unwrapped()

    def to_device(self, column: np.ndarray) -> Tensor:
        """A column (T, N, ...) as a tensor (T * N, ...) on the device."""
        flat = torch.from_numpy(column).flatten(0, 1)
        return flat.to(self._device, non_blocking=True)

    def shuffled(self, columns: Columns, sequences: Tensor) -> Iterator[Columns]:
        """One epoch: every sequence (Q, L) of rows once, in minibatches, in an order of chance; a minibatch has the
        first steps of all its sequences, then the second ones, and so on."""
        order = torch.randperm(len(sequences), generator=self.generator).to(self._device)
        size = self.settings.minibatch_size // sequences.shape[1]
        # What does not fill a minibatch is left out.
        for start in range(0, len(sequences) - size + 1, size):
            rows = sequences[order[start : start + size]].T.flatten()
            yield {name: take(column, rows) for name, column in columns.items()}

    def _new_step(self) -> Callable[[Columns], dict[str, Tensor]]:
        """A gradient step, as a graph where it can be one."""
        optimizer: Any = self.get_optimizer()
        step = partial(self._step, optimizer=optimizer)
        on_one_gpu = self._device.type == "cuda" and self.config.num_learners <= 1
        if not (on_one_gpu and self.capturable and self.bare_network.capturable):
            return step
        self.progress_of_loss = torch.zeros((), device=self._device)
        return CUDAGraph(step, *self.draws_from)

    def _step(self, minibatch: Columns, optimizer: Adam) -> dict[str, Tensor]:
        loss, terms = self.loss(minibatch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [parameter for parameter in self._params.values() if parameter.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, self.settings.max_gradient_norm)
        optimizer.descend(parameters, [parameter.grad for parameter in parameters])
        return terms | {"loss": loss.detach(), "gradient_norm": norm}

    def _means(self, terms: list[dict[str, Tensor]]) -> dict[str, float]:
        """Mean of each term over the minibatches (and learners), with one copy to the host."""
        table = torch.stack([torch.stack([t.float() for t in row.values()]) for row in terms]).mean(0)
        if dist.is_initialized():
            dist.all_reduce(table)
            table /= dist.get_world_size()
        return dict(zip(terms[0], table.tolist(), strict=True))


def take(column: Tensor, rows: Tensor) -> Tensor:
    """Rows of a column, in its memory layout.

    Indexing channels-last images copies them number by number: a quarter of a learner's time on two
    cores. Seen as contiguous rows, they are copied whole.
    """
    if column.dim() == 4 and column.is_contiguous(memory_format=torch.channels_last):
        return column.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return column.index_select(0, rows)
