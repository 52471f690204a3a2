"""Treatments: the action is what a patient gets. gymnasium knows them as health/<name>-v0 once this
is imported, which `gymnasium.make("envs.health:health/<name>-v0")` does by itself."""

from typing import Any

import gymnasium

from envs.health.core.treatment import Patient, Patients, TreatmentConfig
from envs.names import Imported

TREATMENTS: Imported[type[TreatmentConfig]] = Imported(
    {
        "hiv-sti": "envs.health.hiv_sti:HivConfig",
        "care-episode": "envs.health.care.env:CareEpisodeConfig",
        "sepsis-icu": "envs.health.sepsis_icu:SepsisConfig",
        "epidemic-npi": "envs.health.epidemic.env:EpidemicConfig",
        "glucose-t1d": "envs.health.glucose.env:GlucoseConfig",
        "tumor-imaging": "envs.health.tumor.env:TumorConfig",
        "warfarin-pgx": "envs.health.warfarin.env:WarfarinConfig",
    }
)


def patient(treatment: str, render_mode: str | None = None, **settings: Any) -> gymnasium.Env:
    """One patient of a treatment, for `gymnasium.make`; the settings are the fields of its
    configuration."""
    return Patient(TREATMENTS[treatment](**settings), render_mode)


def patients(treatment: str, num_envs: int = 1, **settings: Any) -> gymnasium.vector.VectorEnv:
    """Patients of a treatment in step, for `gymnasium.make_vec`."""
    return Patients(TREATMENTS[treatment](**settings), num_envs)


def register() -> None:
    """Registers all treatments with gymnasium, by names of functions, so that a spec can be pickled
    and written as JSON."""
    for slug in TREATMENTS:
        gymnasium.register(
            f"health/{slug}-v0",
            entry_point="envs.health:patient",
            vector_entry_point="envs.health:patients",
            kwargs={"treatment": slug},
        )


register()
