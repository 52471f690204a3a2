"""A report on a policy says what was measured, and stops before it begins where it cannot."""

import json
from html import escape
from pathlib import Path
from typing import Any

import pytest

from agents.evaluation.report import page
from agents.experiment import InvalidExperiment
from scripts.log_episodes import main as log_episodes
from scripts.report_policy import main as report
from scripts.train_agent import main as train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "care"
    settings = "--env care-episode --total-env-steps 512 --num-envs 8"
    fast = "--algo.rollout-length 64 --algo.minibatch-size 256 --algo.epochs 1 --evaluate-every-env-steps 0"
    train([*settings.split(), *fast.split(), "--run-dir", str(folder)])
    return folder


@pytest.fixture(scope="module")
def reported(run: Path) -> dict[str, Any]:
    report([str(run), "--patients", "40", "--shown", "1"])
    return json.loads((run / "report.json").read_text())


def test_a_report_is_one_page_and_its_figures(run: Path, reported: dict[str, Any]) -> None:
    told = reported
    assert told["usual_care"] == "standard of care"
    assert {"ppo", "random", "untreated", "standard of care", "oracle"} < told["policies"].keys()
    assert told["policies"]["oracle"]["metrics"]["remission"]["mean"] > 0.5
    assert told["policies"]["oracle"]["agent_is_above_by"]["mean"] < 0
    assert sum(told["doses"][0]["shares"]["ppo"]) == pytest.approx(1)
    assert max(told["doses"][0]["shares"]["standard of care"]) > max(
        told["doses"][0]["shares"]["ppo"]
    )
    shifted = told["conditions"]["patients of another population"]
    assert (
        shifted["standard of care"]["mean"]
        != told["policies"]["standard of care"]["return"]["mean"]
    )
    off_policy = told["off_policy"]
    assert off_policy["episodes"] == 40
    assert off_policy["refusal"], "40 patients bear no estimate"
    assert off_policy["played"] == told["policies"]["ppo"]["return"]["mean"]
    assert told["checkpoint"] == "step-000000000512"
    assert "512 env steps, seed 1" in told["card"]["policy"]
    html = (run / "report.html").read_text()
    assert "Not to be believed. The effective sample size" in html
    assert "Not for clinical use" in html
    assert "Hargrave" in html, "the model card names the source"
    assert html.count("data:image/png;base64,") == 2
    assert "http" not in html, "it must need nothing else"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--patients", "1"],
            r"--patients must be a whole number from 2 to 1,000 \(all are treated side by side\), "
            r"not 1",
        ),
        (["--shown", "0"], "--shown must be a whole number from 1 to 100"),
        (
            ["--shown", "10000000000"],
            "ten times as many patients, treated one by one.*, not 10,000,000,000",
        ),
        (["--also", "RUN"], "have the same seed, 1: they are one training"),
        (["--also", "nowhere"], "nowhere is not a run folder"),
        (["--checkpoint", "step-7"], "has no checkpoint step-7"),
        (["--patients", "2", "--log", "nothing"], "nothing holds no logged episodes"),
    ],
)
def test_a_mistake_is_told_before_anything_else(
    run: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with pytest.raises(InvalidExperiment, match=told):
        report([str(run), *(argument.replace("RUN", str(run)) for argument in arguments)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ["--env", "hiv-sti", "--policy", "random", "--env.step-hours", "720"],
            "is of hiv-sti, not of care-episode",
        ),
        (
            ["--env", "care-episode", "--env.cost-weight", "1"],
            "made with --env.cost-weight 1.0, and this is with",
        ),
        (
            ["--env", "care-episode", "--env.history", "4"],
            "made with --env.history 4, and this is with",
        ),
    ],
)
def test_a_log_of_something_else_is_told_before_anything_else(
    run: Path, tmp_path: Path, settings: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_episodes([*settings, "--episodes", "2", "--output", str(tmp_path / "log.parquet")])
    capsys.readouterr()
    with pytest.raises(InvalidExperiment, match=told):
        report([str(run), "--log", str(tmp_path / "log.parquet")])
    assert capsys.readouterr().out == ""


def in_strings(part: Any, payload: str) -> Any:
    """A part of a report with the payload in every string."""
    if isinstance(part, dict):
        return {key: in_strings(value, payload) for key, value in part.items()}
    if isinstance(part, list):
        return [in_strings(value, payload) for value in part]
    return part + payload if isinstance(part, str) else part


def in_names(told: dict[str, Any], payload: str) -> dict[str, Any]:
    """A report with the payload in the names of policies, metrics, conditions, estimators, and of
    the model card."""

    def renamed(table: dict[str, Any]) -> dict[str, Any]:
        return {f"{name}{payload}": value for name, value in table.items()}

    policies = {
        name: one | {"metrics": renamed(one["metrics"])} for name, one in told["policies"].items()
    }
    conditions = {name: renamed(by_policy) for name, by_policy in told["conditions"].items()}
    return told | {
        "policies": renamed(policies),
        "conditions": renamed(conditions),
        "doses": [one | {"shares": renamed(one["shares"])} for one in told["doses"]],
        "off_policy": told["off_policy"] | {"estimates": renamed(told["off_policy"]["estimates"])},
        "card": renamed(told["card"]) | {"environment": told["card"]["environment"]},
    }


@pytest.mark.parametrize(
    "payload", ["<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>"]
)
def test_markup_in_every_string_of_a_report_is_escaped(
    reported: dict[str, Any], payload: str
) -> None:
    changed = page(in_names(in_strings(reported, payload), payload), {f"worst{payload}": []})
    assert payload not in changed
    assert changed.count(escape(payload)) > 60
    assert "<script" not in changed
    assert "<img" not in changed


def test_what_is_no_treatment_has_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    train(["--env", "probe-target", "--total-env-steps", "2048", "--run-dir", str(folder)])
    with pytest.raises(ValueError, match="probe-target is no treatment; a report can be had of"):
        report([str(folder)])
