"""Films of agents, and judgments with or without one."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import gymnasium
import pytest

from agents.engine.config import build_network
from agents.evaluation.evaluate import (
    Stopped,
)
from agents.evaluation.judge import judge
from agents.evaluation.record import Recorded, record
from agents.experiment import Experiment, InvalidExperiment
from agents.interfaces import EnvironmentFailure
from agents.settings.ppo import PPO
from envs.probe import CountingConfig, CountingEnv, FlawedConfig, TargetConfig
from perception.settings.encoders import MLPConfig

COUNTING = Experiment(env=CountingConfig(length=5), algo=PPO(), encoder=MLPConfig())
TARGET = replace(COUNTING, env=TargetConfig())


def brightnesses(film: Path) -> list[int]:
    reader = cv2.VideoCapture(str(film))
    return [int(image.mean()) for got, image in iter(reader.read, (False, None)) if got]


def filmed(tmp_path: Path, experiment: Experiment, max_steps: int) -> tuple[Path, Recorded]:
    path = tmp_path / "film.webm"
    network = build_network(experiment)
    return path, record(experiment, network, path, seed=1, deterministic=True, max_steps=max_steps)


def test_a_film_shows_the_episode_from_its_first_frame_to_its_last(tmp_path: Path) -> None:
    path, recorded = filmed(tmp_path, COUNTING, max_steps=100)
    assert brightnesses(path) == pytest.approx([0, 8, 16, 24, 32, 40], abs=4)  # 8 x clock
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 4.0
    assert (recorded.frames, recorded.total_return) == (6, 15.0)


def test_a_film_ends_after_the_max_steps(tmp_path: Path) -> None:
    path, recorded = filmed(tmp_path, COUNTING, max_steps=3)
    assert len(brightnesses(path)) == recorded.frames == 4
    assert recorded.total_return == 6.0  # 1 + 2 + 3


class BlindEnv(CountingEnv):
    """Shows nothing from its third frame on."""

    def render(self):
        return super().render() if self.clock < 2 else None


@dataclass(frozen=True)
class BlindConfig(CountingConfig):
    def build(self) -> gymnasium.Env:
        return BlindEnv(self.length)


def test_an_environment_that_cannot_be_filmed_leaves_no_film(tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment, match=r"its render\(\) gave None"):
        filmed(tmp_path, replace(COUNTING, env=BlindConfig()), max_steps=9)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_fails_ends_a_film_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="the flaw"):
        filmed(tmp_path, replace(COUNTING, env=FlawedConfig(length=5, fails_at=3)), max_steps=9)
    assert list(tmp_path.iterdir()) == []


def test_a_judgment_has_a_film_or_says_why_there_is_none() -> None:
    shown, blind = (
        judge(experiment, build_network(experiment), 1, "step-1")
        for experiment in (COUNTING, replace(COUNTING, env=BlindConfig()))
    )
    assert shown.film is not None
    assert b"webm" in shown.film.video[:100]
    assert shown.film.gif.startswith(b"GIF89a")
    assert blind.film is None
    assert "gave None" in blind.no_film
    assert blind.evaluation is not None
    assert blind.evaluation.mean == 15.0


def test_an_evaluation_is_kept_when_somebody_asks_for_the_end_during_the_film() -> None:
    played: list[None] = []
    judgment = judge(
        COUNTING,
        build_network(COUNTING),
        1,
        "step-1",
        stop=lambda: len(played) == COUNTING.evaluation_episodes,
        advance=lambda: played.append(None),
    )
    assert judgment.evaluation is not None
    assert judgment.film is None
    assert judgment.no_film == "the run was stopped"


def test_episodes_and_films_end_soon_after_somebody_asks_for_the_end(tmp_path: Path) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 2

    experiment = Experiment(env=CountingConfig(length=1_000), algo=PPO(), encoder=MLPConfig())
    with pytest.raises(Stopped):
        judge(experiment, build_network(experiment), 1, "step-1", stop)
    assert len(asked) == 3
    with pytest.raises(Stopped):
        record(
            experiment,
            build_network(experiment),
            tmp_path / "film.webm",
            seed=1,
            deterministic=True,
            max_steps=9,
            stop=stop,
        )
    assert list(tmp_path.iterdir()) == []
