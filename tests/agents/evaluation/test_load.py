"""Networks out of checkpoints that are damaged, foreign, or vanish while they are chosen."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import agents.checkpoint
import agents.evaluation.evaluate
from agents.checkpoint import (
    ARRAYS,
    checkpoint_name,
    chosen_checkpoint,
    env_steps_of,
    load_state,
    remove_old_checkpoints,
    save_state,
)
from agents.engine.config import build_network
from agents.evaluation.evaluate import (
    device_of,
    load_chosen,
    load_network,
)
from agents.experiment import Experiment, InvalidExperiment
from agents.settings.ppo import PPO
from envs.probe import CountingConfig, TargetConfig
from perception.settings.encoders import MLPConfig

COUNTING = Experiment(env=CountingConfig(length=5), algo=PPO(), encoder=MLPConfig())
TARGET = replace(COUNTING, env=TargetConfig())


def checkpoint_of(network: Any, folder: Path) -> Path:
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    save_state(folder, {"learner": {"learner": {"rl_module": {"default_policy": weights}}}})
    return folder


def test_a_network_comes_back_from_its_checkpoint(tmp_path: Path) -> None:
    trained = build_network(TARGET)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1)
    loaded = load_network(TARGET, checkpoint_of(trained, tmp_path / "step-1"))
    seen = torch.linspace(-1, 1, 5, device=device_of(loaded))[:, None]
    for wanted, got in zip(
        trained(trained.prepare(seen)), loaded(loaded.prepare(seen)), strict=True
    ):
        assert torch.equal(wanted, got)


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = checkpoint_of(build_network(TARGET), tmp_path / "step-1")
    wider = replace(TARGET, encoder=MLPConfig(hidden_sizes=(64, 65)))
    with pytest.raises(InvalidExperiment, match="step-1 holds the weights of another network"):
        load_network(wider, folder)


@pytest.mark.parametrize(
    "state",
    [{}, {"learner": 3}, {"learner": {"learner": {"rl_module": {"default_policy": [1.0]}}}}],
    ids=["nothing", "a number", "a list of weights"],
)
def test_a_checkpoint_without_a_network_is_refused_in_one_line(
    tmp_path: Path, state: dict[str, Any]
) -> None:
    save_state(tmp_path / "step-1", state)
    with pytest.raises(InvalidExperiment) as refusal:
        load_network(TARGET, tmp_path / "step-1")
    assert "step-1" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_damaged_checkpoint_is_the_users_to_know_of(tmp_path: Path) -> None:
    folder = checkpoint_of(build_network(TARGET), tmp_path / "step-1")
    (folder / ARRAYS).write_bytes(b"")
    with pytest.raises(InvalidExperiment, match="step-1 is not a readable checkpoint"):
        load_network(TARGET, folder)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run with checkpoints at 100, 200 and 300 env steps."""
    for env_steps in (100, 300, 200):
        save_state(tmp_path / "checkpoints" / checkpoint_name(env_steps), {})
    return tmp_path


def test_a_checkpoint_is_chosen_by_latest_best_or_name(run_dir: Path) -> None:
    (run_dir / "best.json").write_text(
        json.dumps({"checkpoint": checkpoint_name(200), "mean": 3.0})
    )
    assert chosen_checkpoint(run_dir, "latest").name == checkpoint_name(300)
    assert chosen_checkpoint(run_dir, "best").name == checkpoint_name(200)
    assert chosen_checkpoint(
        run_dir, checkpoint_name(100)
    ) == run_dir / "checkpoints" / checkpoint_name(100)


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(run_dir: Path) -> None:
    with pytest.raises(
        InvalidExperiment,
        match=f"no checkpoint step-7; it has latest, best, {checkpoint_name(300)}",
    ):
        chosen_checkpoint(run_dir, "step-7")
    with pytest.raises(InvalidExperiment, match="no evaluation yet"):
        chosen_checkpoint(run_dir, "best")
    with pytest.raises(InvalidExperiment, match="there is no such folder"):
        chosen_checkpoint(run_dir / "videos", "latest")
    with pytest.raises(InvalidExperiment, match="no checkpoint"):
        chosen_checkpoint(run_dir, "../../etc")


@pytest.fixture
def rotating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is alive: it saves a checkpoint, which becomes the best, and removes its oldest
    one, whenever somebody is about to read the checkpoint at 100 or 200 env steps."""
    network = build_network(TARGET)
    reads = agents.evaluation.evaluate.load_state

    def save(env_steps: int) -> None:
        checkpoint_of(network, tmp_path / "checkpoints" / checkpoint_name(env_steps))
        (tmp_path / "best.json").write_text(
            json.dumps({"checkpoint": checkpoint_name(env_steps), "mean": env_steps})
        )

    def load_state(folder: Path) -> dict[str, Any]:
        env_steps = env_steps_of(folder.name)
        if env_steps < 300:
            save(env_steps + 100)
            remove_old_checkpoints(folder.parent, keep=1, spared=())
        return reads(folder)

    save(100)
    monkeypatch.setattr(agents.evaluation.evaluate, "load_state", load_state)
    return tmp_path


@pytest.mark.parametrize("name", ["latest", "best"])
def test_a_checkpoint_that_vanishes_before_it_is_read_is_chosen_again(
    rotating: Path, name: str
) -> None:
    _, checkpoint = load_chosen(TARGET, rotating, name)
    assert checkpoint.name == checkpoint_name(300)


def test_a_named_checkpoint_that_vanishes_is_told_with_those_that_are_there(rotating: Path) -> None:
    with pytest.raises(
        InvalidExperiment,
        match=f"no checkpoint {checkpoint_name(100)}; it has latest, best, {checkpoint_name(200)}",
    ):
        load_chosen(TARGET, rotating, checkpoint_name(100))


def test_the_best_checkpoint_may_change_while_it_is_chosen(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bests = iter([checkpoint_name(50), checkpoint_name(200), checkpoint_name(200)])
    monkeypatch.setattr(agents.checkpoint, "read_best", lambda _: {"checkpoint": next(bests)})
    assert chosen_checkpoint(run_dir, "best").name == checkpoint_name(200)


def test_a_damaged_checkpoint_that_stays_is_told(run_dir: Path) -> None:
    with pytest.raises(InvalidExperiment, match=f"{checkpoint_name(300)} holds no network"):
        load_chosen(TARGET, run_dir, "latest")


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}"], ids=repr)
def test_a_damaged_best_json_is_told_in_one_line(run_dir: Path, damage: str) -> None:
    (run_dir / "best.json").write_text(damage)
    with pytest.raises(InvalidExperiment) as refusal:
        chosen_checkpoint(run_dir, "best")
    assert "\n" not in str(refusal.value)


def test_a_copy_under_another_name_is_not_taken_for_what_the_name_says(tmp_path: Path) -> None:
    folder = tmp_path / "step-000000009999"
    checkpoint_of(build_network(TARGET), folder)
    save_state(folder, load_state(folder) | {"env_steps": 2048})
    with pytest.raises(InvalidExperiment, match="is of 2048 env steps, which its name"):
        load_network(TARGET, folder)
