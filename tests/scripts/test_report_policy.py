"""A report on a policy says what was measured, and stops before it begins where it cannot."""

import json
from pathlib import Path

import pytest

from scripts.report_policy import main as report
from scripts.train_agent import main as train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "care"
    settings = "--env care-episode --total-env-steps 512 --num-envs 8"
    fast = "--algo.rollout-length 64 --algo.minibatch-size 256 --algo.epochs 1 --evaluate-every-env-steps 0"
    train([*settings.split(), *fast.split(), "--run-dir", str(folder)])
    return folder


def test_a_report_is_one_page_and_its_figures(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report([str(run), "--patients", "40", "--shown", "1"])
    assert "Not for clinical use." in capsys.readouterr().out
    told = json.loads((run / "report.json").read_text())
    assert told["usual_care"] == "standard of care"
    assert {"ppo", "random", "untreated", "standard of care", "oracle"} < told["policies"].keys()
    assert told["policies"]["oracle"]["metrics"]["remission"]["mean"] > 0.5
    assert told["policies"]["oracle"]["agent_is_above_by"]["mean"] < 0
    assert sum(told["doses"][0]["shares"]["ppo"]) == pytest.approx(1)
    assert max(told["doses"][0]["shares"]["standard of care"]) > max(told["doses"][0]["shares"]["ppo"])
    shifted = told["conditions"]["patients of another population"]
    assert shifted["standard of care"]["mean"] != told["policies"]["standard of care"]["return"]["mean"]
    off_policy = told["off_policy"]
    assert off_policy["episodes"] == 40
    assert off_policy["refusal"], "40 patients bear no estimate"
    assert off_policy["played"] == told["policies"]["ppo"]["return"]["mean"]
    page = (run / "report.html").read_text()
    assert "Not to be believed. The effective sample size" in page
    assert "Not for clinical use" in page
    assert "Hargrave" in page, "the model card names the source"
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page, "it must need nothing else"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--patients", "1"], "--patients must be 2 to 1,000"),
        (["--shown", "0"], "--shown must be at least 1"),
        (["--also", "nowhere"], "nowhere is not a run folder"),
        (["--checkpoint", "step-7"], "has no checkpoint step-7"),
        (["--patients", "2", "--log", "nothing"], "nothing holds no logged episodes"),
    ],
)
def test_a_mistake_is_told_and_no_report_is_written(run: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        report([str(run), *arguments])


def test_what_is_no_treatment_has_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    train(["--env", "probe-target", "--total-env-steps", "2048", "--run-dir", str(folder)])
    with pytest.raises(ValueError, match="probe-target is no treatment; a report can be had of"):
        report([str(folder)])
