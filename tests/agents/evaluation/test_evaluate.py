"""Evaluation: exactly the episodes asked for, none favored, and honest intervals."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

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
    Evaluation,
    Recorded,
    Stopped,
    act,
    bootstrap_interval,
    device_of,
    evaluate,
    interquartile_mean,
    judge,
    load_chosen,
    load_network,
    record,
)
from agents.experiment import Experiment, InvalidExperiment
from agents.interfaces import EnvironmentFailure
from agents.networks.action_scaling import ActionScaling
from agents.networks.distributions import distribution_for
from agents.settings.ppo import PPO
from envs.probe import CountingConfig, CountingEnv, FlawedConfig, TargetConfig
from perception.settings.encoders import MLPConfig

COUNTING = Experiment(env=CountingConfig(length=5), algo=PPO(), encoder=MLPConfig())
TARGET = replace(COUNTING, env=TargetConfig())

scores = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=40)


class Answer(nn.Module):
    """A policy whose mean action is a function of what it sees."""

    def __init__(self, answer: Any, action_space: gymnasium.Space, sees: int = 1) -> None:
        super().__init__()
        self.answer, self.action_space = answer, action_space
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (sees,), np.float32)
        self.distribution: Any = distribution_for(action_space)
        self.weight = nn.Parameter(torch.zeros(1))

    def prepare(self, observations: Tensor) -> Tensor:
        return observations

    def to_environment(self, actions: NDArray) -> NDArray:
        return (
            ActionScaling(self.action_space).to_environment(actions)
            if isinstance(self.action_space, Box)
            else actions
        )

    def no_memory(self, num_envs: int) -> Tensor:
        return torch.zeros(num_envs, 0)

    def act(
        self, observations: Tensor, memory: Tensor, generator: torch.Generator, deterministic: bool
    ) -> tuple[Tensor, Tensor]:
        mean = self.answer(observations)
        parameters = torch.cat([mean, torch.full_like(mean, -1.0)], -1)
        choose = self.distribution
        return choose.mode(parameters) if deterministic else choose.sample(
            parameters, generator
        ), memory


def play(experiment: Experiment, network: nn.Module, episodes: int, **changes: Any) -> Evaluation:
    settings = {"seed": 1, "deterministic": True, "checkpoint": "step-1"} | changes
    return evaluate(experiment, network, episodes=episodes, **settings)


@dataclass(frozen=True)
class UnequalConfig(CountingConfig):
    """A vector whose environment n has episodes of n + 1 steps, and so returns of 1 + 2 + ... + (n
    + 1)."""

    def build_vector(self, num_envs: int) -> VectorEnv:
        makers = [lambda length=n + 1: CountingEnv(length) for n in range(num_envs)]
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("episodes", [1, 3, 16, 17, 35])
def test_exactly_the_episodes_asked_for_are_played_whole(episodes: int) -> None:
    result = play(COUNTING, build_network(COUNTING), episodes)
    assert result.returns == [15.0] * episodes  # 1 + 2 + 3 + 4 + 5, terminated or truncated
    assert result.lengths == [5] * episodes
    assert result.episodes == episodes
    assert (result.mean, result.median, result.iqm, result.ci95) == (15.0, 15.0, 15.0, (15.0, 15.0))
    assert result.success_rate is None


def test_an_episode_that_a_failing_environment_cut_is_played_again() -> None:
    """The first environment has two to play, and fails in its second, at its 8th step."""
    result = play(
        replace(COUNTING, env=FlawedConfig(length=5, fails_at=8)), build_network(COUNTING), 17
    )
    assert result.returns == [15.0] * 17


def test_an_evaluation_does_not_wait_for_environments_that_always_fail() -> None:
    always = replace(COUNTING, env=FlawedConfig(length=5, fails_at=3))
    with pytest.raises(EnvironmentFailure, match=r"More than 4 episodes were cut; .*the flaw"):
        play(always, build_network(COUNTING), 4)


def test_environments_are_closed_however_an_evaluation_ends(monkeypatch) -> None:
    closed = []
    monkeypatch.setattr(SyncVectorEnv, "close", lambda *_, **__: closed.append(1))
    always = replace(COUNTING, env=FlawedConfig(length=5, fails_at=3))
    with pytest.raises(EnvironmentFailure):
        play(always, build_network(COUNTING), 4)
    assert closed


def test_short_episodes_are_not_favored() -> None:
    experiment = replace(COUNTING, env=UnequalConfig())
    result = play(experiment, build_network(COUNTING), 20)
    # 20 episodes on 16 environments: two on each of the first four, one on each other.
    shares = [2] * 4 + [1] * 12
    lengths = [n + 1 for n, share in enumerate(shares) for _ in range(share)]
    assert result.lengths == lengths
    assert result.returns == [length * (length + 1) / 2 for length in lengths]


def test_the_summary_is_of_the_returns_and_survives_json() -> None:
    experiment = replace(COUNTING, env=UnequalConfig())
    result = play(experiment, build_network(COUNTING), 4, seed=9)
    assert result.returns == [1.0, 3.0, 6.0, 10.0]
    assert result.mean == 5.0
    assert result.median == 4.5
    assert result.iqm == 4.5
    assert 1.0 <= result.ci95[0] < 5.0 < result.ci95[1] <= 10.0
    written = json.loads(json.dumps(result.to_json()))
    assert written["returns"] == result.returns
    assert (written["seed"], written["checkpoint"], written["algo"]) == (9, "step-1", "ppo")


def test_a_perfect_answer_succeeds_always_and_earns_ten() -> None:
    result = play(TARGET, Answer(lambda seen: seen, TARGET.env.build().action_space), 20)
    assert result.success_rate == 1.0
    assert result.returns == pytest.approx([10.0] * 20)
    assert result.random == TargetConfig().reference_scores["random"]
    assert result.human is None


def test_an_answer_on_the_wrong_side_never_succeeds() -> None:
    result = play(TARGET, Answer(lambda seen: -seen.sign(), TARGET.env.build().action_space), 20)
    assert result.success_rate == 0.0
    assert result.mean < 0.0


def test_only_the_last_step_of_an_episode_counts_as_success() -> None:
    # Right on positive numbers alone: the last of ten is positive in half of all episodes.
    right_if_positive = Answer(
        lambda seen: torch.where(seen > 0, seen, -seen.sign()), TARGET.env.build().action_space
    )
    result = play(TARGET, right_if_positive, 200)
    assert result.success_rate == pytest.approx(0.5, abs=4 * 0.5 / 200**0.5)


class MeasuringEnv(CountingEnv):
    """Measures its length, if odd, at its end."""

    def step(self, action: Any):
        *rest, terminated, truncated, info = super().step(action)
        if (terminated or truncated) and self.length % 2:
            info["episode_metrics"] = {"odd_length": float(self.length)}
        return *rest, terminated, truncated, info


@dataclass(frozen=True)
class MeasuringConfig(CountingConfig):
    def build_vector(self, num_envs: int) -> VectorEnv:
        makers = [lambda length=n + 1: MeasuringEnv(length) for n in range(num_envs)]
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def test_an_environments_own_measures_are_means_over_the_episodes_that_have_them() -> None:
    result = play(replace(COUNTING, env=MeasuringConfig()), build_network(COUNTING), 8)
    assert result.metrics == {"odd_length": (1 + 3 + 5 + 7) / 4}
    assert result.env_settings == {"type": "MeasuringConfig", "length": 5}
    assert play(COUNTING, build_network(COUNTING), 2).metrics == {}


def test_a_seed_decides_an_evaluation() -> None:
    network = build_network(TARGET)
    first, again, other = (
        play(TARGET, network, 5, seed=seed, deterministic=False) for seed in (1, 1, 2)
    )
    assert first.returns == again.returns
    assert first.returns != other.returns


def test_an_evaluation_leaves_the_global_generators_alone() -> None:
    network = build_network(TARGET)
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    play(TARGET, network, 5, deterministic=False)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_actions_stay_inside_the_box() -> None:
    space = Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 0.5], np.float32))
    network = Answer(lambda seen: seen * 100, space, sees=2)
    seen = np.array([[1.0, 1.0], [-1.0, -1.0]], np.float32)
    actions, _ = act(
        network, seen, network.no_memory(len(seen)), torch.Generator(), deterministic=True
    )
    assert actions.tolist() == [[1.0, 0.5], [-1.0, 0.0]]


def test_a_deterministic_policy_takes_the_likeliest_action() -> None:
    network = Answer(lambda seen: seen, Discrete(4), sees=2)
    seen = np.array([[0.1, 0.3], [0.2, 0.1]], np.float32)
    actions, _ = act(network, seen, network.no_memory(2), torch.Generator(), deterministic=True)
    assert actions.tolist() == [1, 0]  # the two columns after them are -1


def test_the_interquartile_mean_is_of_the_middle_half() -> None:
    assert interquartile_mean(np.array([8, 1, 100, 4, -50, 3, 5, 6])) == 4.5  # of 3, 4, 5, 6
    # Of three values the middle half takes 1/12 of the lowest, 1/3, and 1/12: (0 / 12 + 3 / 3 + 9 /
    # 12) / (1 / 2).
    assert interquartile_mean(np.array([9.0, 0.0, 3.0])) == pytest.approx(3.5)
    assert interquartile_mean(np.array([7.0])) == 7.0
    assert interquartile_mean(np.array([1.0, 2.0])) == 1.5


@given(scores)
def test_the_interquartile_mean_is_the_plain_one_of_everything_four_times_over(
    returns: list[float],
) -> None:
    four_times = np.sort(np.repeat(returns, 4))
    middle = four_times[len(returns) : 3 * len(returns)]
    assert interquartile_mean(np.array(returns)) == pytest.approx(middle.mean(), rel=1e-9, abs=1e-6)


@given(scores.filter(lambda returns: len(set(returns)) > 1), st.integers(0, 100))
def test_the_interval_lies_among_the_returns(returns: list[float], seed: int) -> None:
    low, high = bootstrap_interval(np.array(returns), seed)
    assert min(returns) - 1e-6 <= low <= high <= max(returns) + 1e-6


def test_the_interval_of_one_value_is_that_value() -> None:
    assert bootstrap_interval(np.full(12, 3.0), 0) == (3.0, 3.0)


def test_the_interval_is_as_wide_as_the_normal_one_where_there_are_many_returns() -> None:
    returns = np.random.default_rng(0).exponential(2.0, 500)
    low, high = bootstrap_interval(returns, 0)
    error = returns.std() / 500**0.5
    assert low == pytest.approx(returns.mean() - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(returns.mean() + 1.96 * error, abs=0.3 * error)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(7.0, 3.0, size=(200, 25))
    covered = [
        low <= 7.0 <= high
        for low, high in (bootstrap_interval(x, i) for i, x in enumerate(samples))
    ]
    # The percentile interval is known to fall a little short of 95 % at 25 values; the standard
    # error is 1.8 %.
    assert 0.88 <= np.mean(covered) <= 0.98


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


class RareSuccess(CountingEnv):
    """The first two of every 25 episodes are a success; `says` is what the info of each step says
    of it."""

    says: ClassVar[dict[str, Any]] = {
        "on success alone": lambda success, last: {"is_success": True} if success and last else {},
        "at each end": lambda success, last: {"is_success": np.bool_(success)} if last else {},
        "at each step": lambda success, last: {"is_success": float(success and last)},
        "in the middle": lambda success, last: {} if last else {"is_success": success},
        "none until it is known": lambda success, last: {"is_success": success if last else None},
        "never": lambda success, last: {},
        "then no longer": lambda success, last: {"is_success": not last},
    }

    def __init__(self, habit: str) -> None:
        super().__init__(3)
        self.habit, self.played = habit, -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.played += 1
        return super().reset(seed=seed, options=options)[0], {
            "is_success": True
        } if self.played else {}

    def step(self, action: Any):
        *rest, _ = super().step(action)
        return *rest, self.says[self.habit](self.played % 25 < 2, self.clock == self.length)


@dataclass(frozen=True)
class RareSuccessConfig(CountingConfig):
    habit: str = ""

    def build(self) -> gymnasium.Env:
        return RareSuccess(self.habit)


@pytest.mark.parametrize(
    ("habit", "rate"),
    [
        ("on success alone", 0.08),
        ("at each end", 0.08),
        ("at each step", 0.08),
        ("in the middle", 0.08),
        ("none until it is known", 0.08),
        ("then no longer", 0.0),
        ("never", None),
    ],
)
def test_the_success_rate_is_over_all_episodes_whenever_they_say_it(
    habit: str, rate: float | None
) -> None:
    """Four environments play 25 episodes each, two of which are a success: 8 of 100."""
    experiment = replace(COUNTING, env=RareSuccessConfig(habit=habit))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agents.evaluation.evaluate.MAX_ENVS", 4)
        result = play(experiment, build_network(COUNTING), 100)
    assert result.success_rate == (None if rate is None else pytest.approx(rate))


def test_an_evaluation_tells_of_each_episode_that_counts() -> None:
    done: list[int] = []
    evaluate(
        COUNTING,
        build_network(COUNTING),
        episodes=17,
        seed=1,
        deterministic=True,
        checkpoint="step-1",
        advance=lambda: done.append(1),
    )
    assert len(done) == 17


def test_a_copy_under_another_name_is_not_taken_for_what_the_name_says(tmp_path: Path) -> None:
    folder = tmp_path / "step-000000009999"
    checkpoint_of(build_network(TARGET), folder)
    save_state(folder, load_state(folder) | {"env_steps": 2048})
    with pytest.raises(InvalidExperiment, match="is of 2048 env steps, which its name"):
        load_network(TARGET, folder)
