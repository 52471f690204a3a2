"""Other programs on the cores: said once, from half of the cores on, and not of the run's own
work."""

import pytest

from agents.monitoring import contention
from agents.monitoring.contention import Contention


def after(monkeypatch: pytest.MonkeyPatch, seconds: float, busy: float, own: float) -> str:
    """The warning after so many seconds in which all cores worked `busy` seconds, `own` of them for
    the run."""
    clock, total, mine = [0.0], [100.0], [10.0]
    monkeypatch.setattr(contention.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(contention, "busy_seconds", lambda: total[0])
    monkeypatch.setattr(contention, "own_seconds", lambda: mine[0])
    monkeypatch.setattr(contention.psutil, "cpu_count", lambda: 2)
    watched = Contention()
    clock[0], total[0], mine[0] = seconds, 100.0 + busy, 10.0 + own
    first, second = watched.warning(), watched.warning()
    assert second == "", "it is said once"
    return first


def test_others_on_more_than_half_of_the_cores_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of 40 seconds on two cores, 60 seconds of work by others: 1.5 cores.
    assert after(monkeypatch, 40.0, busy=75.0, own=15.0).startswith(
        "other programs use 1.5 of 2 cores"
    )


@pytest.mark.parametrize(
    ("seconds", "busy", "own"),
    [(40.0, 80.0, 78.0), (40.0, 50.0, 15.0), (20.0, 40.0, 2.0)],
    ids=["its own work", "less than half", "too early to say"],
)
def test_nothing_is_said_of(
    monkeypatch: pytest.MonkeyPatch, seconds: float, busy: float, own: float
) -> None:
    assert after(monkeypatch, seconds, busy, own) == ""
