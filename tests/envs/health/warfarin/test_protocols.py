from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envs.health.core.policies import read
from envs.health.warfarin import protocols
from envs.health.warfarin.env import WarfarinConfig
from envs.health.warfarin.protocols import NAMES, Course, aurora, intermountain

SIMULATION: Any = SimpleNamespace()
"""Protocols see nothing of it."""


def seen(inr, age=65.0, genes=(0, 0, 0), given=(0.0, 0.0, 0.0)):
    """Observations of one patient of 70 kg and 170 cm."""
    return np.array([[*genes, age, 70.0, 170.0, 0.0, inr, 1.0, 1.0, *given, 0.0, 0.0]])


def told(**patient):
    return read(NAMES, seen(patient.pop("inr", 1.0), **patient))


def ordered(probabilities):
    """(dose, days) of the first patient."""
    dose, days = divmod(int(probabilities[0].argmax()), len(protocols.INTERVALS))
    return float(protocols.DOSES[dose]), int(protocols.INTERVALS[days])


def followed(make, inrs, **patient):
    """What a protocol orders at each of these INRs."""
    policy = make(SIMULATION)
    return [
        ordered(policy(seen(inr, **patient), np.array([turn == 0])))
        for turn, inr in enumerate(inrs)
    ]


def course(dose, **known):
    zeros = np.zeros(1)
    usual = {
        "days": zeros + 7,
        "tests": zeros + 3,
        "stable": zeros,
        "zone": zeros - 1,
        "held": zeros > 0,
    }
    return Course(np.array([dose]), np.zeros((1, 3, 2)), **usual | known)


def pending(after):
    return [(pytest.approx(dose), days) for dose, days in after.pending[0].tolist() if days]


def test_doses_by_genes_and_size_by_hand():
    # 5.6044 - 0.2614 * 6 + 0.0087 * 170 + 0.0128 * 70 = 6.411; *2/*3 and A/A take 1.9206 and 1.6974 from it.
    assert protocols.iwpc_dose(told())[0] == pytest.approx(6.411**2 / 7)
    assert protocols.iwpc_dose(told(genes=(1, 1, 2)))[0] == pytest.approx(2.793**2 / 7)
    # 4.0376 - 0.2546 * 6 + 0.0118 * 170 + 0.0134 * 70 = 5.454.
    assert protocols.iwpc_clinical(told())[0][0][0] == pytest.approx(5.454**2 / 7)
    # exp(0.9751 + 0.4317 * 1.8181 - 0.00745 * 65 + 0.2029 * 2.5).
    assert protocols.gage(told())[0][0][0] == pytest.approx(5.9476, rel=1e-3)
    # exp(3.10894 + 0.4472 - 0.49855 + 0.66823 - 0.20926 + 0.0845 + 0.1009) / 7.
    assert protocols.lenzini(told(inr=1.5, given=(9.0, 5.0, 5.0)))[0][0][0] == pytest.approx(
        5.789, rel=1e-3
    )


def test_loading_doses_make_up_for_what_is_not_there_yet():
    dose = protocols.iwpc_dose(told())[0]
    days = [(float(order[0]) / dose, length) for order, length in protocols.iwpc_loading(told())]
    assert days == [(pytest.approx(share, rel=1e-3), 1) for share in (1.5174, 1.3449, 1.1725)]


def test_readings_with_errors_are_genotypes_still():
    near = protocols.iwpc_dose(told(genes=(0.8, 1.3, 1.7)))
    assert near == protocols.iwpc_dose(told(genes=(1, 1, 2)))


@pytest.mark.parametrize(
    ("inr", "expected"),
    [
        (1.4, [(4.6, 7)]),
        (1.7, [(4.4, 7)]),
        (1.9, [(4.3, 7)]),
        (2.0, [(4.0, 1)]),
        (3.0, [(4.0, 1)]),
        (3.2, [(3.7, 7)]),
        (3.5, [(3.6, 7)]),
        (4.5, [(0.0, 2), (3.5, 7)]),
        (5.5, [(0.0, 2)]),
    ],
)
def test_auroras_table(inr, expected):
    assert pending(aurora(course(4.0), np.array([inr]))) == expected


def test_aurora_holds_until_inr_is_three_and_tests_later_while_it_stays_in_range():
    held = aurora(course(4.0), np.array([5.5]))
    still = aurora(held, np.array([3.5]))
    assert pending(still) == [(0.0, 2)]
    assert pending(aurora(still, np.array([2.9]))) == [(3.4, 7)]
    after = [(5.0, 2), (5.0, 2), (5.0, 5), (5.0, 7), (5.0, 14), (5.0, 28)]
    assert (
        followed(
            protocols.protocol(protocols.aurora_start, None, aurora), [1.0, 2.2, 2.3, 2.4, 2.4, 2.5]
        )
        == after
    )
    assert followed(
        protocols.protocol(protocols.aurora_start, None, aurora), [1.0, 2.2], age=50.0
    ) == [
        (10.0, 2),
        (5.0, 2),
    ]


@pytest.mark.parametrize(
    ("inr", "zone", "expected"),
    [
        (1.5, -1, [(8.0, 1), (4.4, 4)]),
        (1.7, -1, [(6.0, 1), (4.2, 6)]),
        (1.9, -1, [(4.0, 14)]),
        (1.9, 2, [(4.2, 14)]),
        (2.5, -1, [(4.0, 14)]),
        (2.5, 3, [(4.0, 28)]),
        (3.2, 4, [(3.8, 14)]),
        (3.6, -1, [(2.0, 1), (3.6, 6)]),
        (4.2, -1, [(0.0, 1), (3.6, 6)]),
        (5.5, -1, [(0.0, 2)]),
    ],
)
def test_intermountains_zones(inr, zone, expected):
    assert pending(intermountain(course(4.0, zone=np.array([zone])), np.array([inr]))) == expected


def test_intermountain_goes_on_with_less_after_a_hold():
    held = intermountain(course(4.0), np.array([5.5]))
    assert pending(intermountain(held, np.array([4.0]))) == [(0.0, 2)]
    assert pending(intermountain(held, np.array([3.0]))) == [(3.4, 7)]


def test_a_revised_dose_follows_the_loading_doses():
    arm = protocols.protocol(protocols.iwpc_loading, protocols.lenzini, intermountain)
    dose = protocols.iwpc_dose(told())[0]
    doses = followed(arm, [1.0, 1.1, 1.2, 1.5, 2.2], given=(9.0, 5.0, 5.0))
    assert doses[:3] == [(round(2 * share * dose) / 2, 1) for share in (1.5174, 1.3449, 1.1725)]
    assert doses[3:] == [(6.0, 2), (6.0, 14)]


def test_a_high_inr_is_seen_to_before_pending_orders():
    arm = protocols.protocol(protocols.iwpc_loading, protocols.lenzini, aurora)
    assert followed(arm, [1.0, 5.5, 3.5])[1:] == [(0.0, 2), (0.0, 2)]


def test_a_new_patient_begins_anew_beside_others():
    policy = protocols.protocol(protocols.five, None, aurora)(SIMULATION)
    rows = np.concatenate([seen(1.2), seen(1.2)])
    policy(rows, np.array([True, True]))
    policy(rows, np.array([False, False]))
    again = policy(rows, np.array([True, False]))
    assert ordered(again[:1]) == (5.0, 2)
    assert ordered(again[1:]) == (6.5, 7)


def test_no_protocol_gives_what_is_forbidden():
    config = WarfarinConfig(cohort="shifted")
    for name, make in config.baselines().items():
        if name == "random":
            continue
        env = config.build_vector(30)
        observations, info = env.reset(seed=0)
        policy, first = make(env.ward.simulation), np.ones(30, np.bool_)  # pyright: ignore
        for _ in range(12):
            actions = policy(observations, first).argmax(1)
            assert info["action_mask"][np.arange(30), actions].all(), name
            observations, _, _, cut, info = env.step(actions)
            first = cut
