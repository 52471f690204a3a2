"""Notes say in words what is unusual of a patient."""

from dataclasses import replace

import numpy as np
import pytest

from envs.health.core.notes import NOTE_BYTES, described, in_bytes
from envs.health.core.treatment import Patients, Ward, usual_readings
from envs.health.hiv_sti import HivConfig
from envs.health.tumor.env import TumorConfig


def text(row: np.ndarray) -> str:
    return bytes(row).split(b"\0", 1)[0].decode()


def test_only_what_is_unusual_is_said() -> None:
    readings = np.array([[0.0, 10.0], [1.0, 14.1], [-2.0, 7.9], [0.4, 5.0]])
    told = described(
        ("lactate, mmol/l", "pH"), readings, np.array([0.0, 10.0]), np.array([1.0, 2.0])
    )
    assert told == [
        "nothing unusual",
        "lactate high, pH very high",
        "lactate very low, pH low",
        "pH very low",
    ]


def test_what_does_not_fit_is_left_out_whole_characters_at_a_time() -> None:
    [row] = in_bytes(["é" * NOTE_BYTES])
    assert text(row) == "é" * (NOTE_BYTES // 2)
    assert row.shape == (NOTE_BYTES,)


def test_a_ward_tells_its_readings_in_words() -> None:
    config = HivConfig(cohort="train")
    ward, told = (Ward(replace(config, notes=notes), 4) for notes in (False, True))
    for one in (ward, told):
        one.admit(np.arange(4), np.random.default_rng(0))
    assert told.observation_space.contains(told.observations()[0])
    expected = described(ward.simulation.names, ward.observations(), *usual_readings(config))
    assert [text(row) for row in told.observations()] == expected
    assert any("log10" in note for note in expected), "an infected patient is unusual"


def test_the_last_note_is_told_with_the_discharge() -> None:
    env = Patients(HivConfig(notes=True, step_hours=720.0), 1)
    env.reset(seed=0)
    while True:
        observations, _, _, truncated, info = env.step(np.full(1, 3))
        if truncated[0]:
            break
    assert info["final_obs"].dtype == observations.dtype == np.uint8
    assert text(info["final_obs"][0]) != text(observations[0])


def test_what_notes_cannot_tell_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--env\.history 1"):
        HivConfig(notes=True, history=2)
    with pytest.raises(ValueError, match="shows images, which notes do not tell"):
        TumorConfig(notes=True, seen="scans").build()
