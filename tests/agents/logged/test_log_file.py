"""A log file is judged exactly, or refused in one line that names what is wrong."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.logged.demonstrations import Log
from agents.logged.log_file import read_log, write_log
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP
from tests.agents.logged.odd_logs import FAULTS, SPACES, OddLog, faulty_logs, sound_logs

MDP = TinyMDP.random(1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "log.parquet"


@given(log=sound_logs())
def test_a_sound_log_is_judged_exactly(path: Path, log: OddLog) -> None:
    episodes, about = read_log(log.write(path))
    assert about["env"] == "odd"
    assert len(episodes) == log.episodes()
    assert episodes.alive.sum() == len(log.rows)
    assert episodes.alive.any(0).all(), "no episode is empty"
    assert episodes.returns().mean() == pytest.approx(log.mean_return(), rel=1e-9, abs=1e-6)
    flat = Log.read(str(path), *SPACES)
    assert flat.first.sum() == len(flat.terminated) == log.episodes()
    assert sorted(flat.rewards) == pytest.approx(
        sorted(row["reward"] for row in log.rows), rel=1e-6
    )
    terminated = sum(row["terminated"] is True for row in log.rows)
    assert flat.terminated.sum() == episodes.terminated.sum() == terminated


@pytest.mark.parametrize("fault", FAULTS)
@settings(max_examples=2)
@given(data=st.data())
def test_a_fault_is_told_in_one_line(path: Path, fault: str, data: st.DataObject) -> None:
    log = data.draw(faulty_logs((fault,)))
    log.write(path)
    for read in (read_log, lambda file: Log.read(str(file), *SPACES)):
        with pytest.raises(ValueError, match=r"log\.parquet") as refusal:
            read(path)
        assert log.named in str(refusal.value)
        assert "\n" not in str(refusal.value)


def rows_of(path: Path, keep: str) -> pa.Table:
    """The rows of a log in which an expression of `episode` and `step` holds."""
    table = pq.read_table(path)
    columns = {name: table.column(name).to_numpy() for name in ("episode", "step")}
    return table.filter(pa.array(eval(keep, columns)))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 episodes."""
    path = tmp_path_factory.mktemp("played") / "played.parquet"
    write_log(MDP.play(MDP.policy(2), 400, 3), path, {"env": "tiny"})
    return path


@pytest.mark.parametrize(
    ("keep", "chosen"),
    [
        ("episode >= 200", np.arange(200, 400)),
        ("episode % 2 == 1", np.arange(1, 400, 2)),
        ("episode == 399", [399]),
    ],
)
def test_ids_are_no_positions(played: Path, tmp_path: Path, keep: str, chosen: np.ndarray) -> None:
    """Some episodes of a log alone are judged as these, with nothing in the place of the others."""
    whole, _ = read_log(played)
    pq.write_table(rows_of(played, keep), tmp_path / "some.parquet")
    some, _ = read_log(tmp_path / "some.parquet")
    assert len(some) == len(chosen)
    np.testing.assert_array_equal(some.returns(), whole.returns()[chosen])
    np.testing.assert_array_equal(some.last_observations, whole.last_observations[chosen])
    np.testing.assert_array_equal(some.terminated, whole.terminated[chosen])


def test_two_logs_joined_are_both_judged_or_refused(tmp_path: Path) -> None:
    one, other = (MDP.play(MDP.policy(seed), 400, seed) for seed in (4, 5))
    for name, episodes in (("one", one), ("other", other)):
        write_log(episodes, tmp_path / name, {"env": "tiny"})
    tables = [pq.read_table(tmp_path / name) for name in ("one", "other")]
    pq.write_table(pa.concat_tables(tables), tmp_path / "joined.parquet")
    with pytest.raises(
        ValueError, match=r"step is 0 of episode 0 in row .* and in row .* must not share ids"
    ):
        read_log(tmp_path / "joined.parquet")
    apart = pa.array(tables[1].column("episode").to_numpy() + 1_000_000)
    tables[1] = tables[1].set_column(0, "episode", apart)
    pq.write_table(pa.concat_tables(tables), tmp_path / "joined.parquet")
    both, _ = read_log(tmp_path / "joined.parquet")
    assert len(both) == 800
    np.testing.assert_array_equal(both.returns(), np.concatenate([one.returns(), other.returns()]))


def test_a_log_that_breaks_off_is_refused(played: Path, tmp_path: Path) -> None:
    table = pq.read_table(played)
    row = int(table.column("terminated").is_null().to_numpy().argmax())
    pq.write_table(table.slice(0, row + 1), tmp_path / "cut.parquet")
    with pytest.raises(
        ValueError, match=f"is null in row {row}, an episode's last step; the log breaks off there"
    ):
        read_log(tmp_path / "cut.parquet")


def test_many_short_episodes_beside_a_long_one_are_refused_where_the_zeros_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(MDP.play(MDP.policy(2), 50, 3), tmp_path / "log.parquet", {})
    free = SimpleNamespace(available=1_000)
    monkeypatch.setattr("agents.logged.values.psutil.virtual_memory", lambda: free)
    with pytest.raises(
        ValueError, match=r"50 episodes side by side, the longest of 4 steps, would take .* GiB"
    ):
        read_log(tmp_path / "log.parquet")


def test_a_flipped_bit_changes_no_value(played: Path, tmp_path: Path) -> None:
    """It is found, or was in what is not read, such as a page's least value."""
    whole, content = read_log(played)[0], played.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    found = 0
    for place in range(100, len(content) - footer - 8, len(content) // 40):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / "damaged.parquet").write_bytes(damaged)
        try:
            episodes, _ = read_log(tmp_path / "damaged.parquet")
        except ValueError as refusal:
            found += "damaged.parquet" in str(refusal)
        else:
            np.testing.assert_array_equal(episodes.rewards, whole.rewards)
            np.testing.assert_array_equal(episodes.observations, whole.observations)
            np.testing.assert_array_equal(episodes.probabilities, whole.probabilities)
    assert found > 30


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_could_not_be_read_is_not_written(tmp_path: Path, wrong: float) -> None:
    episodes = MDP.play(MDP.policy(2), 5, 3)
    episodes.rewards[0, 3] = wrong
    with pytest.raises(ValueError, match=f"reward is {wrong} in row"):
        write_log(episodes, tmp_path / "log.parquet", {})
    assert not list(tmp_path.iterdir())


def test_another_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "folder.parquet").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for name in ("text", "empty", "folder", "other", "none", "n" * 300):
        with pytest.raises(
            ValueError, match=r"holds no logged episodes .*log_episodes\.py makes them"
        ):
            read_log(tmp_path / f"{name}.parquet")
