"""Learns from columns: mixed precision, a fused optimizer, one host synchronization an update."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.distributed as dist
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from torch import Tensor, nn

from agents.acceleration.adam import Adam
from agents.acceleration.allocator import keep_freed_memory
from agents.acceleration.cuda_graph import CUDAGraph
from agents.data import Columns, Experience
from agents.engine.config import ColumnarConfig
from agents.engine.reward_model import LearntReward
from agents.networks.packing import Packing

TD_ERRORS = "td_errors"
"""The column of a gradient step's results by which a replay sets priorities."""


class Loss(NamedTuple):
    """What a gradient step lowers, and what is reported of it, detached."""

    value: Tensor
    metrics: dict[str, Tensor]
    """Scalars by name."""
    td_errors: Tensor | None = None
    """Each row's temporal-difference error (B,), where the algorithm has one."""


@dataclass(frozen=True)
class StepResult:
    """What a gradient step reports, on the device."""

    metrics: dict[str, Tensor]
    """Scalars by name."""
    td_errors: Tensor | None = None
    """(B,), where the loss has them."""


class Stateful(Protocol):
    """What a learner saves beside its network, as arrays and plain values."""

    def get_state(self) -> Any: ...

    def set_state(self, state: Any) -> None: ...


class ColumnarLearner(TorchLearner):
    """RLlib's learner with its update replaced. An algorithm adds `learn`, which takes its gradient
    steps one after the other, each by `gradient_step`, and the `loss` of one. An algorithm with
    several losses overrides `_step` instead of `loss`.

    Where `capturable` says that the loss depends on nothing but the minibatch, the weights,
    `progress_of_loss` and `draws_from`, a GPU takes a gradient step as one CUDA graph, if the
    network is `capturable`.
    """

    capturable = False
    draws_from: tuple[torch.Generator, ...] = ()
    """The random generators of a gradient step."""

    config: ColumnarConfig
    settings: Any
    """The algorithm's settings, of which each learner has its own class."""
    _module: Any
    _params: Any
    progress: float
    """The share of the run that was done before this update."""
    progress_of_loss: float | Tensor = 0.0
    """The same for the loss: a tensor () where a graph reads it, which is then changed in its
    place."""

    def build(self) -> None:
        keep_freed_memory()
        # What comes by the object store cannot be written to, and nobody does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        super().build()
        experiment = self.config.experiment
        self.settings = experiment.algo
        self.extrinsic_reward = experiment.reward
        self.generator = torch.Generator()
        self.saved: dict[str, Stateful] = {}
        """What is saved beside the network and the optimizer, by its name in a checkpoint."""
        observation_space = self.bare_network.observation_space
        model = experiment.reward.build(observation_space, self.bare_network.action_space)
        self.reward_model = (
            LearntReward(model, Packing(observation_space), self._device, self.generator)
            if model
            else None
        )
        if self.reward_model is not None:
            self.saved["reward_model"] = self.reward_model
        self._launch: Callable[[Columns], Columns] | None = None
        if self.config.num_learners and not torch.cuda.is_available():
            torch.set_num_threads(self.config.threads_per_learner)

    def learn(self, experience: Any) -> dict[str, float]:
        """All gradient steps for some new experience; gives metrics of the update, means over its
        steps among them."""
        raise NotImplementedError

    def loss(self, minibatch: Columns) -> Loss:
        """The loss of a minibatch's columns (B, ...)."""
        raise NotImplementedError

    def compute_loss_for_module(self, **_: Any) -> Tensor:
        """Asked for by RLlib's own update, which this class replaces."""
        raise NotImplementedError

    def update(self, *, training_data, timesteps: dict[str, Any], **_: Any) -> dict[str, float]:
        """Learns from some new experience; gives metrics by name.

        Raises FloatingPointError when the loss stopped being a finite number.
        """
        experience: Experience = training_data.batch
        # RLlib's runners take weights only where this number is higher than that of theirs.
        self._weights_seq_no += 1
        self.env_steps = timesteps[NUM_ENV_STEPS_SAMPLED_LIFETIME]
        self.env_steps_before = self.env_steps - experience.env_steps() * self.config.learner_count
        learning_rate = self._begin_update()
        metrics = self.learn(experience)
        if not np.isfinite(metrics.get("loss", 0.0)):
            raise FloatingPointError(
                f"The loss became {metrics['loss']} after {self.env_steps:,} env steps; "
                "lower the learning rate, or use --precision fp32."
            )
        rewards = self.reward_model.metrics() if self.reward_model is not None else {}
        return metrics | rewards | {"learning_rate": learning_rate}

    def _begin_update(self) -> float:
        """Sets the progress, the random generator and the learning rate of an update, and returns
        the latter."""
        self.progress = min(1.0, self.env_steps_before / self.config.experiment.total_env_steps)
        self._launch = self._launch or self._new_step()
        if isinstance(self.progress_of_loss, Tensor):
            self.progress_of_loss.fill_(self.progress)
        else:
            self.progress_of_loss = self.progress
        # Seeded by the env steps, not by what was drawn before, so that a resumed run draws the
        # same.
        entropy = [self.config.seed or 0, self._learner_index, self.env_steps]
        self.generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        optimizer: Any = self.get_optimizer()
        learning_rate = self.config.experiment.algo.learning_rate_at(self.progress)
        optimizer.set_learning_rate(learning_rate)
        return learning_rate

    def gradient_step(self, minibatch: Columns) -> StepResult:
        """One step of the optimizer along the gradient of a minibatch's loss."""
        assert self._launch is not None
        metrics = self._launch(minibatch)
        return StepResult(metrics, metrics.pop(TD_ERRORS, None))

    def rewards(
        self,
        rewards: np.ndarray,
        observations: Tensor,
        actions: Tensor,
        experience: Experience | None = None,
    ) -> np.ndarray:
        """What the learner is rewarded for (T, B): the environment's rewards (T, B) as it takes
        them, and a reward model's, which then learns from these steps: packed observations (T * B,
        ...) and the network's actions (T * B, ...), of which it is shown what the environment got.

        `experience` is where they come from, if its rows are in the order in which they were
        lived."""
        own = self.extrinsic_reward.of_environment(rewards)
        if self.reward_model is None:
            return own
        repeated = torch.zeros(len(actions), dtype=torch.bool, device=self._device)
        if experience is not None:
            repeated = self.to_device(experience.repeated())
        sent = torch.from_numpy(self.bare_network.to_environment(actions.cpu().numpy())).to(
            self._device
        )
        steps = self.reward_model.steps(observations, sent, repeated)
        added = self.reward_model.reward(steps).reshape(rewards.shape)
        self.reward_model.learn(steps)
        return own + added

    def get_state(self, components=None, *, not_components=None, **kwargs: Any) -> dict[str, Any]:
        state = super().get_state(components, not_components=not_components, **kwargs)
        for name, part in self.saved.items():
            if self._check_component(name, components, not_components):
                state[name] = part.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._launch = None  # a graph reads the optimizer's state where it was
        for name, part in self.saved.items():
            if name in state:
                part.set_state(state[name])

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        parameters: Any = self.get_parameters(self._module[module_id])
        settings = self.config.experiment.algo
        optimizer = Adam(parameters, settings.learning_rate, settings.adam_epsilon)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=parameters)

    @property
    def network(self) -> nn.Module:
        """The module to call in the loss; wrapped by DDP when there are several learners."""
        return self._module[DEFAULT_MODULE_ID]

    @property
    def bare_network(self) -> Any:
        """The network itself, out of DDP's wrapper where there are several learners."""
        return self._module[DEFAULT_MODULE_ID].unwrapped()

    def to_device(self, column: np.ndarray) -> Tensor:
        """A column (T, N, ...) as a tensor (T * N, ...) on the device."""
        flat = torch.from_numpy(column).flatten(0, 1)
        return flat.to(self._device, non_blocking=True)

    def shuffled(self, columns: Columns, sequences: Tensor) -> Iterator[Columns]:
        """One epoch: every sequence (Q, L) of rows once, in minibatches, in an order of chance; a
        minibatch has the first steps of all its sequences, then the second ones, and so on."""
        order = torch.randperm(len(sequences), generator=self.generator).to(self._device)
        size = self.settings.minibatch_size // sequences.shape[1]
        # What does not fill a minibatch is left out.
        for start in range(0, len(sequences) - size + 1, size):
            rows = sequences[order[start : start + size]].T.flatten()
            yield {name: take(column, rows) for name, column in columns.items()}

    def means(self, steps: Sequence[StepResult]) -> dict[str, float]:
        """The mean of each metric over the gradient steps (and learners), with one copy to the
        host."""
        if not steps:
            return {}
        table = torch.stack(
            [torch.stack([m.float() for m in step.metrics.values()]) for step in steps]
        ).mean(0)
        if dist.is_initialized():
            dist.all_reduce(table)
            table /= dist.get_world_size()
        return dict(zip(steps[0].metrics, table.tolist(), strict=True))

    def _new_step(self) -> Callable[[Columns], Columns]:
        """A gradient step, as a graph where it can be one."""
        optimizer: Any = self.get_optimizer()
        step = partial(self._step, optimizer=optimizer)
        on_one_gpu = self._device.type == "cuda" and self.config.learner_count == 1
        if not (on_one_gpu and self.capturable and self.bare_network.capturable):
            return step
        self.progress_of_loss = torch.zeros((), device=self._device)
        return CUDAGraph(step, *self.draws_from)

    def _step(self, minibatch: Columns, optimizer: Adam) -> Columns:
        """Metrics by name, and TD_ERRORS where there are any: columns, as a graph has no other
        results."""
        loss = self.loss(minibatch)
        optimizer.zero_grad(set_to_none=True)
        loss.value.backward()
        parameters = [
            parameter for parameter in self._params.values() if parameter.grad is not None
        ]
        norm = nn.utils.clip_grad_norm_(parameters, self.settings.max_gradient_norm)
        optimizer.descend(parameters, [parameter.grad for parameter in parameters])
        errors = {} if loss.td_errors is None else {TD_ERRORS: loss.td_errors}
        return loss.metrics | {"loss": loss.value.detach(), "gradient_norm": norm} | errors


def in_order(columns: Columns, size: int) -> Iterator[Columns]:
    """Minibatches of so many rows each, one after the other."""
    for start in range(0, len(next(iter(columns.values()))), size):
        yield {name: column[start : start + size] for name, column in columns.items()}


def take(column: Tensor, rows: Tensor) -> Tensor:
    """Rows of a column, in its memory layout.

    Indexing channels-last images copies them number by number: a quarter of a learner's time on two
    cores. Seen as contiguous rows, they are copied whole.
    """
    if column.dim() == 4 and column.is_contiguous(memory_format=torch.channels_last):
        return column.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return column.index_select(0, rows)
