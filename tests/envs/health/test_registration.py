"""Treatments by their gymnasium ids."""

import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from envs.health import TREATMENTS

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("slug", TREATMENTS)
def test_a_spec_survives_json_and_pickle(slug: str) -> None:
    spec = gymnasium.spec(f"health/{slug}-v0")
    for again in (
        gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()),
        pickle.loads(pickle.dumps(spec)),
    ):
        assert again == spec
        env = gymnasium.make(again)
        assert env.unwrapped.spec is not None
        assert env.observation_space == TREATMENTS[slug]().build().observation_space


def test_settings_are_what_gymnasium_takes_beside_the_id() -> None:
    env = gymnasium.make("health/hiv-sti-v0", step_hours=24.0)
    assert env.unwrapped.ward.simulation.step_hours == 24.0  # type: ignore[attr-defined]
    assert gymnasium.make_vec("health/hiv-sti-v0", num_envs=3, step_hours=24.0).num_envs == 3


def test_an_id_with_its_module_needs_no_import() -> None:
    program = (
        "import gymnasium; print(gymnasium.make('envs.health:health/warfarin-pgx-v0').spec.id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "health/warfarin-pgx-v0")
