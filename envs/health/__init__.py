"""Treatments: the action is what a patient gets. gymnasium knows them as health/<name>-v0 once this is
imported, which `gymnasium.make("envs.health:health/<name>-v0")` does by itself."""

from typing import Any

import gymnasium

from envs.health.care_episode import CareEpisodeConfig
from envs.health.epidemic_npi import EpidemicConfig
from envs.health.glucose_t1d import GlucoseConfig
from envs.health.hiv_sti import HivConfig
from envs.health.sepsis_icu import SepsisConfig
from envs.health.treatment import Patient, Patients, TreatmentConfig
from envs.health.tumor_imaging import TumorConfig
from envs.health.warfarin_pgx import WarfarinConfig

TREATMENTS: dict[str, type[TreatmentConfig]] = {
    config.slug: config
    for config in (
        HivConfig,
        CareEpisodeConfig,
        SepsisConfig,
        EpidemicConfig,
        GlucoseConfig,
        TumorConfig,
        WarfarinConfig,
    )
}


def patient(treatment: str, render_mode: str | None = None, **settings: Any) -> gymnasium.Env:
    """One patient of a treatment, for `gymnasium.make`; the settings are the fields of its configuration."""
    return Patient(TREATMENTS[treatment](**settings), render_mode)


def patients(treatment: str, num_envs: int = 1, **settings: Any) -> gymnasium.vector.VectorEnv:
    """Patients of a treatment in step, for `gymnasium.make_vec`."""
    return Patients(TREATMENTS[treatment](**settings), num_envs)


def register() -> None:
    """Registers all treatments with gymnasium, by names of functions, so that a spec can be pickled and written as
    JSON."""
    for slug in TREATMENTS:
        gymnasium.register(
            f"health/{slug}-v0",
            entry_point="envs.health:patient",
            vector_entry_point="envs.health:patients",
            kwargs={"treatment": slug},
        )


register()
