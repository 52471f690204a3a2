"""Episodes are logged, and policies estimated from them, as users type it."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.evaluation.off_policy.estimators import ESTIMATORS
from agents.experiment import InvalidExperiment
from agents.logged.log_file import read_log
from scripts.estimate_policy import main as estimate
from scripts.log_episodes import main as log_episodes
from scripts.train_agent import main as train


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "usual.parquet"
    log_episodes(
        ["--env", "care-episode", "--episodes", "600", "--epsilon", "0.3", "--output", str(path)]
    )
    return path


def test_a_log_says_what_was_played(log: Path) -> None:
    episodes, about = read_log(log)
    assert (about["env"], about["policy"], about["epsilon"]) == (
        "care-episode",
        "standard of care",
        0.3,
    )
    assert len(episodes) == 600
    told = episodes.probabilities[episodes.alive]
    np.testing.assert_allclose(told.sum(1), 1)
    np.testing.assert_allclose(told.min(1), 0.3 / 16)


def test_a_baseline_is_estimated(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    estimate(["standard of care", "--episodes-file", str(log), "--resamples", "50"])
    printed = capsys.readouterr().out
    assert "standard of care on care-episode, from 600 episodes of standard of care" in printed
    for name in ESTIMATORS:
        assert re.search(rf"  {re.escape(name)} +-?[\d.]+  \(95 % interval", printed), name
    assert "headline: " in printed
    assert "no reliable estimate" not in printed
    told = json.loads((log.parent / "usual-standard-of-care.json").read_text())
    assert told["refusal"] == ""
    assert told["log"]["epsilon"] == 0.3
    assert told["calibration"]["expected_error"] < 0.02
    low, high = (told["estimates"]["weighted DR"][bound] for bound in ("low", "high"))
    assert low < 33.7 < high, "what it earns where it is played (EpiCARE)"


def test_what_was_never_done_has_no_estimate(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Patients whom nobody treats, where everybody else is treated nearly always."""
    estimate(["untreated", "--episodes-file", str(log), "--resamples", "20"])
    printed = capsys.readouterr().out
    assert re.search(r"WIS +none  \(all weights are zero\)", printed)
    assert "no reliable estimate: The effective sample size is 0.0 of 600 episodes" in printed
    told = json.loads((log.parent / "usual-untreated.json").read_text(), parse_constant=pytest.fail)
    assert told["estimates"]["WIS"] == {"value": None, "low": None, "high": None}


def test_an_agent_is_estimated_or_refused(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that learnt nothing acts by chance; hardly any whole episode of usual care is like
    that. Its own log says what it earns, and an estimate from that is no other."""
    run = tmp_path / "care"
    fast = "--algo.rollout-length 64 --algo.minibatch-size 256 --algo.epochs 1 --evaluate-every-env-steps 0"
    settings = [
        "--env",
        "care-episode",
        "--total-env-steps",
        "512",
        "--num-envs",
        "8",
        *fast.split(),
    ]
    train([*settings, "--run-dir", str(run)])
    estimate([str(run), "--episodes-file", str(log), "--resamples", "20", "--behavior", "logistic"])
    assert "no reliable estimate: The effective sample size is" in capsys.readouterr().out
    assert json.loads((run / "off_policy.json").read_text())["behavior"] == "logistic"
    own = tmp_path / "own.parquet"
    log_episodes(["--run", str(run), "--episodes", "100", "--output", str(own)])
    estimate([str(run), "--episodes-file", str(own), "--resamples", "20"])
    told = json.loads((run / "off_policy.json").read_text())
    assert told["effective_sample_size"] == pytest.approx(100, rel=1e-4)
    assert told["estimates"]["IS"]["value"] == pytest.approx(
        told["logged"]["value"], rel=1e-3, abs=0.05
    )


CHANGED: dict[str, dict] = {
    "NOTES": {"env_settings": {"type": "CareEpisodeConfig", "notes": True, "history": 1}},
    "IMPOSSIBLE": {"env_settings": {"type": "CareEpisodeConfig", "noise": -1.0}},
    "MISNAMED": {"env": "hiv-sti"},
    "ENCODER": {"env_settings": {"type": "MLPConfig"}},
}
"""Logs like the one that is sound, by what is changed in their metadata."""


def with_paths(argument: str, log: Path) -> str:
    if argument not in CHANGED:
        return argument.replace("LOG", str(log))
    table = pq.read_table(log)
    about = json.loads((table.schema.metadata or {})[b"praxis"]) | CHANGED[argument]
    path = log.with_name(f"{argument}.parquet")
    pq.write_table(table.replace_schema_metadata({"praxis": json.dumps(about)}), path)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["random"], "--episodes-file says which log"),
        (["random", "--episodes-file", "nothing"], "nothing holds no logged episodes"),
        (
            ["usual care", "--episodes-file", "LOG"],
            "There is no run, or policy of care-episode, 'usual care'",
        ),
        (["oracle", "--episodes-file", "LOG"], "sees what no log has"),
        (
            ["random", "--episodes-file", "LOG", "--deterministic"],
            "random is no run's folder; leave out --checkpoint and --deterministic",
        ),
        (
            ["random", "--episodes-file", "LOG", "--discount", "2"],
            "--discount must be a number above 0 and at most 1, not 2",
        ),
        (
            ["random", "--episodes-file", "LOG", "--resamples", "1"],
            "--resamples must be a whole number from 20",
        ),
        (["random", "--episodes-file", "LOG", "--resamples", "10000000000"], "not 10,000,000,000"),
        (
            ["random", "--episodes-file", "LOG", "--seed", "-1"],
            "--seed must be a whole number from 0",
        ),
        (["random", "--episodes-file", "LOG", "--output", "LOG/a.json"], "is a file, not a folder"),
        (
            ["random", "--episodes-file", "LOG", "--output", f"/tmp/{'a' * 300}"],
            "cannot be written: File name too long",
        ),
        (
            ["random", "--episodes-file", "NOTES"],
            "has notes; the baselines of care-episode read numbers",
        ),
        (
            ["random", "--episodes-file", "IMPOSSIBLE"],
            r"does not say what environment it is of: noise must be a number from 0 to .*, not "
            r"-1\.$",
        ),
        (["random", "--episodes-file", "MISNAMED"], "is of hiv-sti, not of care-episode"),
        (["random", "--episodes-file", "ENCODER"], "has no baselines"),
    ],
)
def test_a_mistake_is_told(log: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(InvalidExperiment, match=told):
        estimate([with_paths(argument, log) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--env", "care-episode", "--policy", "usual"],
            "There is no policy of care-episode 'usual'",
        ),
        (
            ["--env", "care-episode", "--episodes", "0"],
            "--episodes must be a whole number from 1 to",
        ),
        (
            ["--env", "care-episode", "--episodes", str(2**63)],
            "--episodes must be a whole number from 1 to",
        ),
        (
            ["--env", "care-episode", "--seed", str(2**70)],
            "--seed must be a whole number from 0 to",
        ),
        (["--env", "care-episode", "--output", "LOG/log.parquet"], "is a file, not a folder"),
        (["--env", "care-episode", "--minari", "no id"], "names end in a version"),
        (
            ["--env", "care-episode", "--epsilon", "2"],
            "--epsilon must be a number from 0 to 1, not 2",
        ),
        (
            ["--env", "glucose-t1d", "--epsilon", "0.1", "--episodes", "4"],
            "--epsilon is for discrete actions",
        ),
        (["--env", "care-episode", "--run", "somewhere"], "leave out --env"),
        (["--run", "nowhere"], "nowhere is not a run folder"),
        (["--env", "CartPole-v1"], "has no baselines; say whose --run plays"),
        (["--env", "tumor-imaging", "--policy", "oracle", "--output", "LOG"], "exists already"),
    ],
)
def test_a_log_that_cannot_be_is_told(log: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(InvalidExperiment, match=told):
        log_episodes([argument.replace("LOG", str(log)) for argument in arguments])
