"""Folders that a training writes into: room on the disk, names that nobody else gets, and one
writer at a time."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.experiment import InvalidExperiment
from agents.training import folders
from agents.training.folders import (
    FREE_DISK_BYTES,
    OWNER,
    UNKNOWN,
    Owner,
    check_disk,
    check_new_folder,
    new_folder,
    owned,
    owner_of,
    this_process,
)

ROOT = Path(__file__).parents[3]
HOLDS_IT = """
import sys, time
from pathlib import Path
from agents.training.folders import owned
with owned(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def other_process(folder: Path) -> Iterator[subprocess.Popen]:
    """A process that owns the folder until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_IT, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_second_process_is_told_who_it_is_until_the_first_is_killed(tmp_path: Path) -> None:
    with other_process(tmp_path) as process:
        for refused in (lambda: owned(tmp_path).__enter__(), lambda: check_new_folder(tmp_path)):
            with pytest.raises(
                InvalidExperiment,
                match=f"is written to by process {process.pid} on .*, started at 2",
            ):
                refused()
        assert owner_of(tmp_path) is not None
        process.kill()
        process.wait()
        assert owner_of(tmp_path) is None
        assert (tmp_path / OWNER).exists(), "what a kill leaves"
        with owned(tmp_path):
            assert json.loads((tmp_path / OWNER).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_an_owner_that_has_not_yet_written_who_it_is_is_waited_for(tmp_path: Path) -> None:
    with owned(tmp_path):
        record = (tmp_path / OWNER).read_bytes()
        (tmp_path / OWNER).write_bytes(b"")
        writing = threading.Timer(0.1, lambda: (tmp_path / OWNER).write_bytes(record))
        writing.start()
        assert owner_of(tmp_path) == this_process()
        writing.join()


def test_a_folder_is_taken_though_nobody_knows_by_whom(tmp_path: Path) -> None:
    with owned(tmp_path):
        (tmp_path / OWNER).write_bytes(b"")
        with pytest.raises(InvalidExperiment, match="is written to by another process; wait until"):
            owned(tmp_path).__enter__()
        assert owner_of(tmp_path) == UNKNOWN


def test_a_copy_of_a_folder_is_nobodys(tmp_path: Path) -> None:
    one = tmp_path / "one"
    two = tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with owned(one):
        (two / OWNER).write_bytes((one / OWNER).read_bytes())
        assert owner_of(two) is None
        with owned(two):
            pass


def test_a_forked_process_does_not_keep_the_folder(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(owned(tmp_path))
        child = os.fork()
        if not child:
            threading.Event().wait(30)
            os._exit(0)
        stack.close()
        try:
            with owned(tmp_path):
                pass
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


def without_locks(*_: Any) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({"pid": 1, "since": "1970-01-01 00:00:00"}, False),  # another process has its number now
        ({"pid": 2**22 - 1}, False),
        ({"host": "elsewhere"}, True),
        ({"pid": os.getppid(), "since": folders.started_at(os.getppid())}, True),
    ],
    ids=["a number that was given away", "a number that is free", "another machine", "alive"],
)
def test_without_locks_the_record_says_whose_a_folder_is(
    changes: dict[str, Any], is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders.fcntl, "flock", without_locks)
    monkeypatch.setattr(folders, "SETTLING_SECONDS", 0.0)
    other = replace(this_process(), **changes)
    (tmp_path / OWNER).write_text(json.dumps(asdict(other)))
    assert owner_of(tmp_path) == (other if is_refused else None)
    if is_refused:
        with pytest.raises(InvalidExperiment, match=rf"process {other.pid} on .* delete .*{OWNER}"):
            owned(tmp_path).__enter__()
        assert json.loads((tmp_path / OWNER).read_text()) == asdict(other)
    else:
        with owned(tmp_path):
            assert Owner(**json.loads((tmp_path / OWNER).read_text())) == this_process()


def test_without_locks_the_last_of_several_that_write_at_once_is_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(this_process(), host="elsewhere")

    def overtaken(_: float) -> None:
        (tmp_path / OWNER).write_text(json.dumps(asdict(other)))

    monkeypatch.setattr(folders.fcntl, "flock", without_locks)
    monkeypatch.setattr(folders.time, "sleep", overtaken)
    with pytest.raises(InvalidExperiment, match="on elsewhere"):
        owned(tmp_path).__enter__()


@pytest.mark.parametrize(
    "content", ["", "{", '{"pid": 3}', "[]", "[" * 100_000], ids=lambda text: text[:9]
)
def test_a_damaged_record_of_nobody_is_in_nobodys_way(content: str, tmp_path: Path) -> None:
    (tmp_path / OWNER).write_text(content)
    assert owner_of(tmp_path) is None
    with owned(tmp_path):
        pass


def test_default_names_are_given_to_one_each(tmp_path: Path) -> None:
    default = str(tmp_path / "runs" / "CartPole-ppo")
    together = threading.Barrier(8)

    def begin(number: int) -> str:
        together.wait()
        with new_folder("", default) as path:
            (path / "experiment.json").write_text(str(number))
            together.wait()
        return path.name

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(begin, range(8)))
    assert sorted(names) == ["CartPole-ppo", *(f"CartPole-ppo-{n}" for n in range(2, 9))]


def test_two_that_want_the_same_folder_at_once_do_not_both_get_it(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def begin(_: int) -> bool:
        together.wait()
        try:
            with new_folder(str(tmp_path / "run"), "") as path:
                (path / "experiment.json").touch()
                return True
        except InvalidExperiment:
            return False

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(begin, range(4))) == 1
    assert os.listdir(tmp_path / "run") == ["experiment.json"]


@pytest.mark.parametrize("wanted", ["a/b/run", ""])
def test_a_new_folder_that_nothing_was_written_into_is_removed(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with new_folder(wanted, "runs/default") as path:
        assert (path / OWNER).exists()
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_that_was_there_before_stays(tmp_path: Path) -> None:
    with new_folder(str(tmp_path), ""):
        pass
    assert tmp_path.is_dir()


def test_a_new_run_begins_where_one_was_killed_before_it_had_begun(tmp_path: Path) -> None:
    (tmp_path / OWNER).write_text("{}")
    (tmp_path / ".writing-experiment.json").write_text("{")
    check_new_folder(tmp_path)
    with new_folder(str(tmp_path), "") as path:
        assert os.listdir(path) == [OWNER]


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"], ids=["too long", "a zero byte"])
def test_a_name_that_no_folder_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment, match="No folder can be at") as refusal:
        check_new_folder(tmp_path / name)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("~/run", "begins with ~"),
        ("s3://bucket/run", "is an address"),
        ("gs://run", "is an address"),
        ("http://host/run", "is an address"),
    ],
)
def test_what_is_no_path_of_this_machine_is_refused(name: str, reason: str) -> None:
    with pytest.raises(InvalidExperiment, match=reason):
        check_new_folder(Path(name))


def free_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> list[Path]:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(total=10**12, used=0, free=free)

    monkeypatch.setattr(folders.shutil, "disk_usage", usage)
    return asked


def test_a_full_disk_is_told_with_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = free_disk(monkeypatch, 5 * 2**20)
    with pytest.raises(InvalidExperiment, match=r"Only 5 MiB are free .* needs 200 MiB\.$"):
        check_disk(tmp_path / "runs" / "not" / "yet")
    assert asked == [tmp_path], "the nearest folder that exists is the one whose disk counts"


def test_a_disk_with_just_enough_room_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_disk(monkeypatch, FREE_DISK_BYTES + 1)
    check_disk(tmp_path)
    check_new_folder(tmp_path / "new")


def test_a_run_with_a_replay_needs_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_disk(monkeypatch, FREE_DISK_BYTES + 3 * 2**20)
    check_disk(tmp_path, 2 * 2**20)
    with pytest.raises(
        InvalidExperiment, match=r"needs 205 MiB\. .*--algo.checkpoint-replay-limit-gb"
    ):
        check_disk(tmp_path, 5 * 2**20)


def test_a_new_run_needs_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_disk(monkeypatch, 0)
    with pytest.raises(InvalidExperiment, match="MiB are free"):
        check_new_folder(tmp_path / "new")


def test_a_relative_folder_is_looked_for_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_new_folder(Path("runs") / "new")
    assert os.listdir(tmp_path) == [], "checking writes nothing"


def test_a_new_run_takes_a_folder_that_is_missing_or_empty(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "missing")
    check_new_folder(tmp_path)


def test_a_new_run_leaves_a_folder_with_something_in_it_alone(tmp_path: Path) -> None:
    (tmp_path / "progress.jsonl").touch()
    with pytest.raises(InvalidExperiment, match=r"exists already.*--resume"):
        check_new_folder(tmp_path)


def test_a_file_is_no_run_folder_nor_a_parent_of_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(InvalidExperiment, match="exists already"):
        check_new_folder(file)
    with pytest.raises(InvalidExperiment, match="is a file"):
        check_new_folder(file / "runs" / "new")
    assert file.read_text() == "precious"


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidExperiment, match="run is a link that leads nowhere"):
        check_new_folder(link)
    assert link.is_symlink()


def test_an_owner_file_that_leads_elsewhere_is_refused_and_what_it_leads_to_is_not_touched(
    tmp_path: Path,
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    (run / OWNER).symlink_to(precious)
    with pytest.raises(InvalidExperiment, match="cannot be written to"), owned(run):
        pass
    assert precious.read_text() == "mine"


def test_an_owner_file_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / OWNER)
    with pytest.raises(InvalidExperiment, match="is not a plain file"), owned(tmp_path):
        pass
