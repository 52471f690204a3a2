"""No network takes an action that is masked, however it decides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.engine.config import build_network, rllib_config
from agents.networks.action_mask import IMPOSSIBLE, ActionMask
from agents.networks.actor_critic import ActorCritic
from agents.networks.packing import Packing
from agents.settings.no_memory import NoMemory
from common.info import ACTION_MASK
from envs.probe import KeysConfig
from perception.settings.encoders import NatureCNNConfig
from scripts.recipes import recipe_named

ALGORITHMS = ("ppo", "appo", "dqn", "rainbow", "qr-dqn", "pqn", "bc", "cql", "iql")
KEYS = 20


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {name: build_network(recipe_named(name)(KeysConfig())) for name in ALGORITHMS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**20), share=st.floats(0.0, 1.0))
def test_no_masked_action_is_ever_taken(
    networks: dict[str, Any], algorithm: str, seed: int, share: float
) -> None:
    network = networks[algorithm]
    random = np.random.default_rng(seed)
    mask = random.random((64, KEYS)) < share
    mask[np.arange(64), random.integers(KEYS, size=64)] = True
    seen = {
        "observation": random.normal(size=(64, KEYS + 2)).astype(np.float32),
        ACTION_MASK: mask.astype(np.float32),
    }
    packed = torch.from_numpy(Packing(network.observation_space).pack(seen))
    prepared = network.prepare(packed)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(64)
    for deterministic in (False, True):
        nothing = network.no_memory(64)
        actions, _ = network.act(prepared, nothing, generator, deterministic)
        assert mask[rows, actions].all()
        probabilities, _ = network.probabilities(prepared, nothing, deterministic)
        assert (probabilities.detach().numpy()[~mask] == 0).all()
        torch.testing.assert_close(probabilities.sum(1), torch.ones(64))
    if hasattr(network, "explore"):
        anything = network.explore(prepared, torch.ones(64), generator)
        assert mask[rows, anything].all()


def test_exploring_takes_every_possible_action_equally_often(networks: dict[str, Any]) -> None:
    network = networks["dqn"]
    mask = np.zeros((8_000, KEYS), np.float32)
    mask[:, [3, 4, 11, 19]] = 1
    seen = {"observation": np.zeros((8_000, KEYS + 2), np.float32), ACTION_MASK: mask}
    prepared = network.prepare(torch.from_numpy(Packing(network.observation_space).pack(seen)))
    taken = network.explore(prepared, torch.ones(8_000), torch.Generator().manual_seed(0))
    counts = np.bincount(taken, minlength=KEYS)
    assert counts[[3, 4, 11, 19]].sum() == 8_000
    # Four standard deviations of a binomial count are 155.
    assert np.abs(counts[[3, 4, 11, 19]] - 2_000).max() < 155


def test_a_mask_is_not_normalized() -> None:
    experiment = recipe_named("ppo")(KeysConfig())
    algo: Any = experiment.algo
    normalizing = replace(experiment, algo=replace(algo, normalize_observations=True))
    network = build_network(normalizing)
    random = np.random.default_rng(0)
    mask = (random.random((512, KEYS)) < 0.3).astype(np.float32)
    mask[:, 0] = 1
    seen = {
        "observation": random.normal(3.0, 5.0, (512, KEYS + 2)).astype(np.float32),
        ACTION_MASK: mask,
    }
    packed = torch.from_numpy(Packing(network.observation_space).pack(seen))
    network.normalizer.update(packed)
    prepared = network.prepare(packed)
    columns = network.action_mask.columns
    np.testing.assert_array_equal(prepared[:, columns].numpy(), mask)
    assert abs(float(np.delete(prepared.numpy(), np.r_[columns], 1).mean())) < 0.01


def test_an_encoder_does_not_see_the_mask(networks: dict[str, Any]) -> None:
    """Where the same actions are possible as before, nothing changes with the mask's other bits."""
    network = networks["ppo"]
    seen = torch.randn(5, KEYS + 2)
    values = []
    for possible in (3, 17):
        mask = torch.zeros(5, KEYS)
        mask[:, possible] = 1
        parts = {"observation": seen.numpy(), ACTION_MASK: mask.numpy()}
        packed = torch.from_numpy(Packing(network.observation_space).pack(parts))
        values.append(network(network.prepare(packed))[1])
    torch.testing.assert_close(values[0], values[1])


def test_a_mask_without_an_action_allows_all() -> None:
    space = Dict({"observation": Box(-1, 1, (2,)), ACTION_MASK: Box(0, 1, (3,))})
    packed = torch.tensor([[0.0, 0.0, 0.0, 5.0, 5.0], [0.0, 1.0, 0.0, 5.0, 5.0]])
    masked = ActionMask(space)(torch.tensor([[1.0, 2.0, 3.0]] * 2), packed)
    assert masked.tolist() == [[1.0, 2.0, 3.0], [IMPOSSIBLE, 2.0, IMPOSSIBLE]]


def test_a_mask_beside_an_image_is_read_from_bytes() -> None:
    space = Dict(
        {"observation": Box(0, 255, (4, 84, 84), np.uint8), ACTION_MASK: Box(0, 1, (3,), np.uint8)}
    )
    network = ActorCritic(
        observation_space=space,
        action_space=Discrete(3),
        model_config={
            "encoder": NatureCNNConfig(features=16),
            "memory": NoMemory(),
            "share_encoder": True,
            "normalize_observations": False,
            "precision": "fp32",
        },
    )
    images = np.random.default_rng(0).integers(0, 255, (6, 4, 84, 84)).astype(np.uint8)
    mask = np.eye(3, dtype=np.uint8)[[0, 1, 2, 0, 1, 2]]
    packed = Packing(space).pack({"observation": images, ACTION_MASK: mask})
    prepared = network.prepare(torch.from_numpy(packed))
    actions, _ = network.act(prepared, network.no_memory(6), torch.Generator(), False)
    assert actions.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("settings", [{}, {"double": True}, {"munchausen": 0.9}], ids=str)
def test_values_that_follow_are_those_of_possible_actions(settings: dict[str, Any]) -> None:
    """An action that is not possible is worth 100 here, and nobody bootstraps from it."""
    recipe = recipe_named("dqn")(KeysConfig())
    algo: Any = recipe.algo
    env = KeysConfig().build()
    experiment = replace(recipe, algo=replace(algo, **settings), precision="fp32")
    learner: Any = rllib_config(experiment).build_learner(
        spaces={"default_policy": (env.observation_space, env.action_space)}
    )
    network = learner.bare_network
    mask = torch.zeros(2, KEYS)
    mask[:, [4, 9]] = 1
    parts = {"observation": np.zeros((2, KEYS + 2), np.float32), ACTION_MASK: mask.numpy()}
    after = network.prepare(torch.from_numpy(Packing(env.observation_space).pack(parts)))
    target_q = torch.full((2, KEYS, 1), 100.0)
    target_q[:, 4] = 1.0
    target_q[:, 9] = 1.0
    minibatch = {"next_observations": after, "target_q": target_q}
    following = learner.following(minibatch, torch.arange(2))
    # The soft policy's value is a little more, its entropy times the temperature of 0.03.
    assert following.flatten().tolist() == pytest.approx([1.0, 1.0], abs=0.03)
