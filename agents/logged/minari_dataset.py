"""Logged episodes as a Minari dataset (Younis et al. 2024), which other libraries learn offline
from."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agents.logged.episodes import Episodes
from agents.logged.log_file import one_after_the_other, require_spaces, require_values


def write_minari(
    episodes: Episodes,
    dataset: str,
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    about: str,
) -> None:
    """Writes a dataset such as care-episode/clinicians-v0, as Arrow, where MINARI_DATASETS_PATH
    says or in ~/.minari.

    `infos` have a row for each observation: the probabilities that the behavior policy decided by
    there, zeros at the last, and the cost of the step that led there. Raises ValueError for an id
    that Minari does not take or has already, and for episodes that are not of these spaces or have
    values that cannot be."""
    import minari
    from minari.data_collector import EpisodeBuffer

    rows = one_after_the_other(episodes)
    require_values(dataset, rows)
    require_spaces(dataset, rows, observation_space, action_space)
    # It warns of every author, link and environment that it is not told.
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            minari.create_dataset_from_buffers(
                dataset,
                [EpisodeBuffer(**of_episode(episodes, number)) for number in range(len(episodes))],
                observation_space=observation_space,
                action_space=action_space,
                description=about,
                data_format="arrow",
                jpeg_encoding=False,  # which would change images
            )
    except ValueError as refusal:
        raise ValueError(f"Minari does not take {dataset}: {refusal}") from refusal


def require_new_dataset(dataset: str) -> None:
    """Raises ValueError for an id that Minari does not take or has already; makes nothing."""
    if not re.fullmatch(r"([\w-]+/)*[\w-]+-v\d+", dataset):
        raise ValueError(
            f"Minari's names end in a version, such as icu/sepsis-v0; {dataset} does not."
        )
    folder = (
        Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")
        / dataset
    )
    if folder.exists():
        raise ValueError(f"Minari has {dataset} already, in {folder}; choose another --minari.")


def of_episode(episodes: Episodes, number: int) -> dict[str, Any]:
    """What Minari keeps of one: an observation more than steps (T + 1, ...), and (T,) of all
    else."""
    alive = episodes.alive[:, number]
    last = np.arange(alive.sum()) == alive.sum() - 1
    infos: dict[str, Any] = {"cost": [0.0, *episodes.costs[alive, number].tolist()]}
    if episodes.probabilities.shape[2]:
        infos["probabilities"] = np.pad(episodes.probabilities[alive, number], ((0, 1), (0, 0)))
    seen = [*episodes.observations[alive, number], episodes.last_observations[number]]
    return {
        "id": number,
        "observations": seen,
        "actions": list(episodes.actions[alive, number]),
        "rewards": episodes.rewards[alive, number].tolist(),
        "terminations": (last & episodes.terminated[number]).tolist(),
        "truncations": (last & ~episodes.terminated[number]).tolist(),
        "infos": infos,
    }
