"""Adam, without what torch's own step looks up anew each time."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Adam(torch.optim.Adam):
    """Kingma and Ba 2015, by torch's fused kernel; its state is saved and loaded as torch's is.

    torch's `step` goes through hooks, options and every parameter that it knows. For the networks
    of a robot that takes longer than the arithmetic."""

    def __init__(
        self, parameters: Sequence[nn.Parameter], learning_rate: float, epsilon: float
    ) -> None:
        super().__init__(parameters, lr=learning_rate, eps=epsilon, fused=True)
        device = parameters[0].device
        self.rate_on_gpu = (
            torch.tensor(learning_rate, device=device) if device.type == "cuda" else None
        )

    def load_state_dict(self, state_dict: Any) -> None:
        """Takes over a saved state, with its learning rate also where a CUDA graph reads it."""
        super().load_state_dict(state_dict)
        self.set_learning_rate(self.param_groups[0]["lr"])

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the step size of all later steps, also of those in a CUDA graph that was recorded
        before."""
        for group in self.param_groups:
            group["lr"] = learning_rate
        if self.rate_on_gpu is not None:
            self.rate_on_gpu.fill_(
                float(learning_rate)
            )  # in its place, where a CUDA graph reads it

    def set_beta1(self, beta1: float) -> None:
        """Sets how much of its mean of gradients is kept at each step."""
        for group in self.param_groups:
            group["betas"] = (beta1, group["betas"][1])

    def set_weight_decay(self, weight_decay: float) -> None:
        """Sets the share of its weights that a step of size 1 would take away (Loshchilov and
        Hutter 2019, AdamW)."""
        for group in self.param_groups:
            group["weight_decay"] = weight_decay

    @torch.no_grad()
    def descend(self, parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
        """One step of these parameters alone, which are some of the optimizer's and all on one
        device."""
        gradients = [
            in_layout_of(p, gradient) for p, gradient in zip(parameters, gradients, strict=True)
        ]
        [settings] = self.param_groups
        states = [self.state[parameter] or self._begin(parameter) for parameter in parameters]
        steps, means, squares = (
            [state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq")
        )
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]
        torch._fused_adamw_(  # pyright: ignore[reportPrivateImportUsage]
            list(parameters),
            gradients,
            means,
            squares,
            [],  # the largest squares, which AMSGrad would keep
            steps,
            lr=settings["lr"] if self.rate_on_gpu is None else self.rate_on_gpu,
            beta1=settings["betas"][0],
            beta2=settings["betas"][1],
            weight_decay=settings["weight_decay"],
            eps=settings["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _begin(self, parameter: nn.Parameter) -> dict[str, Any]:
        state = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
        self.state[parameter] = state
        return state


def in_layout_of(parameter: nn.Parameter, gradient: Tensor) -> Tensor:
    """The kernel pairs numbers by their places in memory, and a convolution may give its weights'
    gradient in another order than theirs."""
    same = gradient.stride() == parameter.stride()
    return gradient if same else torch.empty_like(parameter).copy_(gradient)


def averaged(gradients: Sequence[Tensor]) -> Sequence[Tensor]:
    """The mean of all learners' gradients; one learner's are its own."""
    if not dist.is_initialized():
        return gradients
    # Side by side, so that the learners exchange one message and not one a parameter.
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    means = (flat / dist.get_world_size()).split([gradient.numel() for gradient in gradients])
    return [mean.view(gradient.shape) for mean, gradient in zip(means, gradients, strict=True)]
