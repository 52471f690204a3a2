"""Wrong command lines of every kind that needs no run are refused in one line, without a trace."""

import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor

import pytest

from scripts import log_episodes, make_demonstrations
from tests.hard_inputs import command_lines
from tests.hard_inputs.children import faults, import_heavily, outcome_of

LOG = (
    "--env",
    "care-episode",
    "--policy",
    "soft standard of care",
    "--episodes",
    "20",
    "--output",
    "log.parquet",
)
DEMONSTRATIONS = ("--episodes", "2", "--output", "demonstrations.safetensors")
NEED_A_TRAINING = {"run", "run-dqn", "run-care", "module", "sweep", "frames.npz"}
CASES_PER_KIND = 5


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    """A folder with a log, demonstrations and junk; there is no run, no module and no sweep in
    it."""
    folder = tmp_path_factory.mktemp("materials")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        log_episodes.main(list(LOG))
        make_demonstrations.main(list(DEMONSTRATIONS))
        (folder / "junk.txt").write_text("junk\n")
        (folder / "empty").touch()
        (folder / "folder").mkdir()
        yield folder


@pytest.fixture(scope="module")
def parent():
    """A process whose children the cases are: this one may have Ray's threads, which a fork leaves
    behind while they hold their locks."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=import_heavily) as pool:
        yield pool


@pytest.mark.parametrize("make", command_lines.KINDS, ids=lambda make: make.__name__)
def test_a_wrong_command_line_is_refused_in_one_line_and_leaves_no_trace(
    make, materials, parent, monkeypatch
):
    bases = tuple(base for base in command_lines.BASES if NEED_A_TRAINING.isdisjoint(base[1]))
    monkeypatch.setattr(command_lines, "BASES", bases)
    draw = random.Random(make.__name__)
    wrong = {}
    tried = set()
    while len(tried) < CASES_PER_KIND:
        case = make(draw)
        if case is None or not NEED_A_TRAINING.isdisjoint((*case.arguments, *(case.damage or ()))):
            continue
        tried.add(case)
        found = faults(case, parent.submit(outcome_of, case, materials).result())
        if found:
            wrong[str(case)] = found
    assert not wrong


def test_what_is_right_is_not_refused(materials, parent):
    """The judge of the cases above can tell: a right command line reaches its work, or does it."""
    case = command_lines.Case("train_agent", ("--env", "CartPole-v1"), "right")
    assert faults(case, parent.submit(outcome_of, case, materials).result()) == ["accepted"]
    case = command_lines.Case("log_episodes", (*LOG[:-1], "other.parquet"), "right")
    assert faults(case, parent.submit(outcome_of, case, materials).result()) == ["accepted"]


def test_a_command_that_fails_badly_is_told_from_one_that_refuses(materials, monkeypatch):
    def fails(arguments):
        os.mkdir("made")
        print("working")
        raise RuntimeError("no mistake of the user's")

    monkeypatch.setattr(log_episodes, "main", fails)
    case = command_lines.Case("log_episodes", (), "right")
    assert faults(case, outcome_of(case, materials)) == [
        "traceback",
        "exit code 1",
        "side effect",
        "standard output",
    ]
