"""PPO written by hand in one file, in the manner of CleanRL: ALE's own vector environment, bfloat16
autocast, fused Adam. What a good engineer writes without a library; no tricks beyond that."""

import ale_py
import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode
from measure import count_parameters, measure
from torch import Tensor, nn
from torch.distributions import Categorical

EPOCHS = 4
LEARNING_RATE = 2.5e-4
CLIP = 0.1
ENTROPY_COEFFICIENT = 0.01
VALUE_COEFFICIENT = 0.5
MAX_GRADIENT_NORM = 0.5
DISCOUNT = 0.99
GAE_LAMBDA = 0.95
TOTAL_ENV_STEPS = 10_000_000

# Validation looks at every value of every distribution, and on a GPU waits for it.
torch.distributions.Distribution.set_default_validate_args(False)


def main(
    seconds: float = 30.0,
    num_envs: int = 32,
    rollout_length: int = 32,
    minibatch_size: int = 256,
    bf16: bool = True,
) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(1)
    envs = ale_py.AtariVectorEnv(
        "space_invaders",
        num_envs=num_envs,
        episodic_life=True,
        reward_clipping=True,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    agent = Agent(envs.single_action_space.n, bf16).to(device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5, fused=True)

    steps = (rollout_length, num_envs)
    batch_size = rollout_length * num_envs
    observations = torch.zeros(
        (*steps, *envs.single_observation_space.shape), dtype=torch.uint8, device=device
    )
    actions = torch.zeros(steps, dtype=torch.int64, device=device)
    log_probs, rewards, dones, values = (torch.zeros(steps, device=device) for _ in range(4))
    next_observation = torch.as_tensor(envs.reset(seed=1)[0], device=device)
    env_steps = 0
    running_returns = np.zeros(num_envs)
    finished_returns = []

    def iterate() -> int:
        nonlocal next_observation, env_steps
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - env_steps / TOTAL_ENV_STEPS)

        for t in range(rollout_length):
            observations[t] = next_observation
            with torch.no_grad():
                logits, values[t] = agent(next_observation)
                policy = Categorical(logits=logits)
                actions[t] = policy.sample()
                log_probs[t] = policy.log_prob(actions[t])
            frames, reward, terminated, truncated, _ = envs.step(actions[t].cpu().numpy())
            done = terminated | truncated
            next_observation = torch.as_tensor(frames, device=device)
            rewards[t] = torch.as_tensor(reward, device=device)
            dones[t] = torch.as_tensor(done, device=device)
            running_returns[:] += reward
            finished_returns.extend(running_returns[done])
            running_returns[done] = 0
        env_steps += batch_size

        with torch.no_grad():
            _, next_value = agent(next_observation)
        advantages = torch.zeros_like(rewards)
        later = torch.zeros_like(next_value)
        for t in reversed(range(rollout_length)):
            goes_on = 1 - dones[t]
            error = rewards[t] + DISCOUNT * next_value * goes_on - values[t]
            advantages[t] = later = error + DISCOUNT * GAE_LAMBDA * goes_on * later
            next_value = values[t]
        returns = advantages + values

        batch = [x.flatten(0, 1) for x in (observations, actions, log_probs, advantages, returns)]
        for _epoch in range(EPOCHS):
            for rows in torch.randperm(batch_size, device=device).split(minibatch_size):
                loss = ppo_loss(agent, *(x[rows] for x in batch))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRADIENT_NORM)
                optimizer.step()
        if not np.isfinite(loss.item()):
            raise FloatingPointError("The loss is not a number.")
        return batch_size

    measure(iterate, seconds, count_parameters(agent))
    envs.close()


class Agent(nn.Module):
    """The Nature CNN, shared by a policy head and a value head."""

    def __init__(self, num_actions: int, bf16: bool) -> None:
        super().__init__()
        self.bf16 = bf16
        self.torso = nn.Sequential(
            orthogonal(nn.Conv2d(4, 32, 8, stride=4)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(32, 64, 4, stride=2)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(64, 64, 3)),
            nn.ReLU(),
            nn.Flatten(),
            orthogonal(nn.Linear(64 * 7 * 7, 512)),
            nn.ReLU(),
        )
        self.actor = orthogonal(nn.Linear(512, num_actions), 0.01)
        self.critic = orthogonal(nn.Linear(512, 1), 1.0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.torso(images / 255.0)
        features = features.float()
        return self.actor(features), self.critic(features).squeeze(-1)


def orthogonal(layer: nn.Module, gain: float = 2**0.5) -> nn.Module:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def ppo_loss(
    agent: Agent,
    observations: Tensor,
    actions: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    returns: Tensor,
) -> Tensor:
    logits, values = agent(observations)
    policy = Categorical(logits=logits)
    ratio = (policy.log_prob(actions) - old_log_probs).exp()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    policy_loss = -torch.min(
        advantages * ratio, advantages * ratio.clamp(1 - CLIP, 1 + CLIP)
    ).mean()
    value_loss = 0.5 * ((values - returns) ** 2).mean()
    return (
        policy_loss + VALUE_COEFFICIENT * value_loss - ENTROPY_COEFFICIENT * policy.entropy().mean()
    )


if __name__ == "__main__":
    tyro.cli(main)
