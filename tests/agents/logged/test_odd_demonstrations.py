"""A file of demonstrations is read as it is, or refused in one line that names what is wrong, by
all that read it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.logged.demonstrations import Log
from perception.rewards.gail import demonstrations
from tests.agents.logged.odd_demonstrations import (
    FAULTS,
    SEEN,
    SPACES,
    OddDemonstrations,
    faulty_demonstrations,
    sound_demonstrations,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shown") / "shown.safetensors"


@settings(max_examples=20)
@given(shown=sound_demonstrations())
def test_sound_demonstrations_are_read_as_they_are(path: Path, shown: OddDemonstrations) -> None:
    shown.write(path)
    log = Log.read(str(path), *SPACES)
    for name in ("observations", "actions", "rewards", "first"):
        np.testing.assert_array_equal(getattr(log, name), shown.columns[name])
    assert np.diff([*np.flatnonzero(log.first), len(log.first)]).tolist() == shown.lengths
    judged = demonstrations(str(path), *SPACES)
    assert sorted(judged["actions"].tolist()) == sorted(shown.columns["actions"].tolist())


@pytest.mark.parametrize("fault", FAULTS)
@settings(max_examples=2)
@given(data=st.data())
def test_a_fault_is_told_in_one_line(path: Path, fault: str, data: st.DataObject) -> None:
    shown = data.draw(faulty_demonstrations((fault,)))
    shown.write(path)
    readers = [lambda: Log.read(str(path), *SPACES)]
    if shown.named in SEEN:
        readers.append(lambda: demonstrations(str(path), *SPACES))
    for read in readers:
        with pytest.raises(ValueError, match=r"shown\.safetensors") as refusal:
            read()
        assert shown.named in str(refusal.value)
        assert "\n" not in str(refusal.value)
