"""Treatments: the action is what a patient gets. gymnasium knows them as health/<name>-v0."""

from collections.abc import Callable
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


def register() -> None:
    """Tells gymnasium of all of them; their settings are what `gymnasium.make` takes beside the id."""

    def one(config: type[TreatmentConfig]) -> Callable[..., gymnasium.Env]:
        def made(render_mode: str | None = None, **settings: Any) -> gymnasium.Env:
            return Patient(config(**settings), render_mode)

        return made

    def many(config: type[TreatmentConfig]) -> Callable[..., gymnasium.vector.VectorEnv]:
        def made(num_envs: int = 1, **settings: Any) -> gymnasium.vector.VectorEnv:
            return Patients(config(**settings), num_envs)

        return made

    for slug, config in TREATMENTS.items():
        gymnasium.register(f"health/{slug}-v0", entry_point=one(config), vector_entry_point=many(config))


register()
