"""Types wrong command lines and reads damaged files, thousands of them: python
benchmarks/hard_inputs.py

Each case is drawn at random and says why it is wrong (tests/hard_inputs/). The real command runs in
a forked child with 20 seconds: it must end with exit code 2 and one line, without a traceback,
without output and without a trace on the disk. What is only unwise (a very large number) or perhaps
harmless (a damaged file) may be accepted, too.
"""

import multiprocessing
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common.files import write_json
from common.provenance import made_by
from tests.hard_inputs.children import Outcome, faults, import_heavily, outcome_of
from tests.hard_inputs.command_lines import Case, cases
from tests.hard_inputs.materials import make_materials


@dataclass(frozen=True)
class Settings:
    """What is run, and where the result goes."""

    cases: int = 5_000
    """Different command lines."""
    seed: int = 0
    """Seed of the draw."""
    workers: int = 2
    """Commands at a time."""
    materials: Path = ROOT / "benchmarks" / "runs" / "hard-inputs"
    """A folder with a run, a log, a module and so on; what is missing there is made, in some
    minutes."""
    output: Path = ROOT / "benchmarks" / "results" / "hard_inputs" / "hard-inputs.json"
    """The result."""


def main(settings: Settings) -> None:
    make_materials(settings.materials)
    os.chdir(settings.materials)
    drawn = cases(settings.cases, settings.seed)
    import_heavily()
    counts: dict[str, Counter[str]] = {}
    failures: list[str] = []
    with multiprocessing.get_context("fork").Pool(settings.workers) as pool:
        jobs = [(case, settings.materials) for case in drawn]
        for number, (case, outcome) in enumerate(pool.imap_unordered(run, jobs), 1):
            found = faults(case, outcome)
            counts.setdefault(case.kind, Counter()).update(found or ["held"])
            if found:
                failures.append(f"{', '.join(found)}: {case}")
                print(failures[-1], "|", outcome.code, last_line(outcome), flush=True)
            if number % 250 == 0:
                print(f"{number:,} of {len(drawn):,} cases, {len(failures)} failures", flush=True)
    total = sum(counts.values(), Counter())
    for kind, row in sorted(counts.items()):
        print(f"{kind:24} {dict(row)}")
    print(f"{len(drawn):,} cases: {dict(total)}")
    result = {
        "command": f"python benchmarks/hard_inputs.py --cases {settings.cases} --seed "
        f"{settings.seed}",
        "cases": len(drawn),
        "kinds": {kind: dict(row) for kind, row in sorted(counts.items())},
        "total": dict(total),
        "failures": sorted(failures),
        "made_by": made_by(),
    }
    write_json(settings.output, result)


def run(job: tuple[Case, Path]) -> tuple[Case, Outcome]:
    case, materials = job
    return case, outcome_of(case, materials)


def last_line(outcome: Outcome) -> str:
    lines = outcome.errors.strip().splitlines() or [""]
    return lines[-1][:200]


if __name__ == "__main__":
    main(tyro.cli(Settings))
