"""Our estimates in RLlib's slot for offline evaluation, as training goes on.

RLlib's own runner draws its actions anew instead of judging those of the log, multiplies no ratios
for PDIS, and takes the target policy for the behavior policy where a log has no probabilities (ray
2.60)."""

from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.offline.offline_evaluation_runner import OfflineEvaluationRunner

from agents.evaluation.off_policy.estimate import (
    LOGGED,
    OffPolicyEvaluation,
    evaluate_off_policy,
    probabilities_of,
)
from agents.evaluation.policies import trained_policy
from agents.logged.episodes import Episodes
from agents.logged.log_file import read_rows, require_spaces
from common.policy import Policy


def evaluated_off_policy(
    config: AlgorithmConfig, log: Path, every_iterations: int = 1
) -> AlgorithmConfig:
    """The config with estimates from a log of scripts/log_episodes.py, every so many iterations.

    RLlib insists on a type that it knows, and would turn all rows into its own episodes before
    anything is asked of them, if it were not told to wait."""
    return config.evaluation(
        offline_evaluation_interval=every_iterations,
        offline_evaluation_type="eval_loss",  # pyright: ignore[reportArgumentType]
        offline_eval_runner_class=OffPolicyRunner,
        evaluation_config=AlgorithmConfig.overrides(
            input_=[str(log)], materialize_mapped_data=False
        ),
    )


class OffPolicyRunner(OfflineEvaluationRunner):
    """Evaluates the policy that is being trained, with the newest weights, on the log that `input_`
    names; it reads the log itself, for RLlib's pipeline splits it by rows, which tears episodes
    apart. One runner is enough. A subclass may set what is below.

    Returns metrics: each estimator's `value`, `low` and `high` under `off_policy/<name>`,
    `effective_sample_size`, `episodes`, and `refused`, which is 1 where no estimate should be a
    headline. Raises ValueError, in one line, for a log that does not serve."""

    behavior: ClassVar[str] = LOGGED
    """`logged`, or what the behavior policy's probabilities are fitted by: a name of
    `behavior.FITS`."""
    discount: ClassVar[float] = 1.0
    """Of the returns that are estimated; whole games are not discounted."""
    resamples: ClassVar[int] = 200

    def run(self, explore: bool = False, train: bool = True, **_: Any) -> Any:
        """Both are RLlib's, and mean nothing here: probabilities are those that the policy acts
        by."""
        modules: Any = self.module
        network = modules[DEFAULT_MODULE_ID]
        policy = (
            trained_policy(network) if hasattr(network, "probabilities") else stock_policy(network)
        )
        episodes = self._episodes(network.observation_space, network.action_space)
        told = evaluate_off_policy(
            episodes,
            probabilities_of(policy, episodes),
            behavior=self.behavior,
            discount=self.discount,
            resamples=self.resamples,
        )
        for name, value in metrics_of(told).items():
            self.metrics.log_value(name, value, window=1)
        return self.metrics.reduce()

    def get_loss_for_module_fn(self) -> Any:
        """No loss is computed, and not every learner has one that could be."""
        return no_loss

    def _episodes(
        self, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> Episodes:
        paths: Any = self.config.input_
        paths = paths if isinstance(paths, list) else [paths]
        if len(paths) != 1:
            raise ValueError(
                f"Off-policy evaluation needs one log as input_, and has {len(paths)}."
            )
        path = Path(paths[0])
        rows, _ = read_rows(path)
        require_spaces(path, rows, observation_space, action_space)
        return rows.side_by_side()


def stock_policy(module: Any) -> Policy:
    """Of one of RLlib's own modules for discrete actions, without memory."""

    @torch.no_grad()
    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray:
        told = module.forward_inference({Columns.OBS: torch.from_numpy(observations)})
        return told[Columns.ACTION_DIST_INPUTS].double().softmax(-1).numpy()

    return policy


def metrics_of(told: OffPolicyEvaluation) -> dict[tuple[str, ...], float]:
    """Flat, as RLlib's metrics are."""
    numbers: dict[tuple[str, ...], float] = {
        ("off_policy", name, bound): getattr(estimate, bound)
        for name, estimate in told.estimates.items()
        for bound in ("value", "low", "high")
    }
    return numbers | {
        ("effective_sample_size",): told.effective_sample_size,
        ("episodes",): told.episodes,
        ("refused",): float(bool(told.refusal)),
    }


def no_loss(*_: Any, **__: Any) -> None:
    """RLlib binds a loss to its runner."""
