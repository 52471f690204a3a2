"""A run folder that was touched is refused in one line, or the run goes on from what is whole."""

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from agents.checkpoint import finished_checkpoints, remove_old_checkpoints
from agents.experiment import InvalidExperiment
from agents.training import train
from agents.training.recorder import RunFolder
from scripts.cli import load_experiment
from tests.chaos.damages import DAMAGES, NEWEST, Damage, content_of, link, small_run


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sound"
    small_run(folder)
    return folder


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_refused_or_goes_on_from_what_is_whole(
    damage: Damage,
    sound: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    started: list[int] = []

    def begin(folder: RunFolder, checkpoint: Path | None, *_: object) -> None:
        folder.lacks_evaluation(folder.saved_at)
        started.append(folder.saved_at)

    monkeypatch.setattr(train, "ray_running", lambda _: nullcontext())
    monkeypatch.setattr(train, "run", begin)
    run = tmp_path / "run"
    shutil.copytree(sound, run)
    damage.apply(run)
    before = content_of(tmp_path)
    try:
        train.resume(load_experiment(run), run)
        refused = ""
    except InvalidExperiment as refusal:
        refused = str(refusal)
    assert "\n" not in refused
    if damage.refused:
        assert re.search(damage.refused, refused), refused
        assert started == []
        assert content_of(tmp_path) == before
    else:
        assert refused == ""
        assert started == [damage.goes_on_from]
        assert re.search(damage.said, capsys.readouterr().out)
        assert not list(run.rglob(".writing-*"))


def test_of_a_checkpoint_that_is_a_link_the_link_alone_is_removed(
    sound: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(sound, run)
    link(NEWEST)(run)
    assert finished_checkpoints(run / "checkpoints")[0].name == Path(NEWEST).name
    remove_old_checkpoints(run / "checkpoints", 0, ())
    assert list((run / "checkpoints").iterdir()) == []
    assert (tmp_path / "elsewhere" / "state.json").exists()
