"""Counts how dense code is to read, here and in other projects: python benchmarks/house.py

    pip download --no-deps --only-binary :all: --dest /tmp/models stable-baselines3 rsl-rl-lib mjlab tianshou d3rlpy
    python benchmarks/house.py --models /tmp/models/*.whl

Figures are for each 1,000 lines of Python, tests and documents apart. A line of code is one that is neither blank, nor
a comment, nor within a docstring.
"""

import ast
import io
import subprocess
import sys
import tarfile
import tokenize
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common.files import write_json
from common.provenance import made_by

ROOMS = ("agents", "envs", "perception", "language", "common", "scripts")
LEFT_OUT = ("test", "tests", "docs", "doc", "examples", "benchmarks", "build")
"""Folders of a project that are not its product."""
FROM_ROLLOUT_TO_GRADIENT: dict[str, tuple[str, ...]] = {
    "here": (
        "agents/algorithms/ppo.py",
        "agents/engine/learner.py",
        "agents/acceleration/adam.py",
        "agents/networks/actor_critic.py",
        "agents/networks/distributions.py",
        "agents/data.py",
    ),
    "rsl_rl_lib": (
        "rsl_rl/runners/on_policy_runner.py",
        "rsl_rl/algorithms/ppo.py",
        "rsl_rl/storage/rollout_storage.py",
        "rsl_rl/models/mlp_model.py",
        "rsl_rl/modules/distribution.py",
        "rsl_rl/modules/mlp.py",
        "rsl_rl/env/vec_env.py",
    ),
    "stable_baselines3": (
        "stable_baselines3/ppo/ppo.py",
        "stable_baselines3/common/on_policy_algorithm.py",
        "stable_baselines3/common/base_class.py",
        "stable_baselines3/common/buffers.py",
        "stable_baselines3/common/policies.py",
        "stable_baselines3/common/distributions.py",
    ),
}
"""The files that somebody opens to follow PPO's update from a rollout to the optimizer."""
FROM_COMMAND_TO_GRADIENT = (
    "scripts/train_agent.py",
    "scripts/cli.py",
    "scripts/recipes/__init__.py",
    "scripts/recipes/ppo.py",
    "agents/experiment.py",
    "agents/training/train.py",
    "agents/engine/config.py",
    "agents/engine/algorithm.py",
    "agents/engine/env_runner.py",
    "agents/engine/on_policy_runners.py",
    *FROM_ROLLOUT_TO_GRADIENT["here"],
)
"""The files from `train_agent.py` to the optimizer."""
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Settings:
    """What is counted, and where the result goes."""

    models: tuple[Path, ...] = ()
    """Wheels of other projects."""
    commits: tuple[str, ...] = ()
    """Earlier commits of this repository, counted as well."""
    output: Path = ROOT / "benchmarks" / "results" / "house" / "house.json"
    """The result."""


def main(settings: Settings) -> None:
    table = {"here": counted(of_folder(ROOT))}
    table |= {room: counted(of_folder(ROOT, (room,))) for room in ROOMS}
    table |= {commit: counted(of_commit(commit)) for commit in settings.commits}
    table |= {
        "-".join(wheel.name.split("-")[:2]): counted(of_wheel(wheel)) for wheel in settings.models
    }
    paths = {
        "from command to gradient, here": (
            len(FROM_COMMAND_TO_GRADIENT),
            lines_of(FROM_COMMAND_TO_GRADIENT),
        )
    }
    for project, files in FROM_ROLLOUT_TO_GRADIENT.items():
        wheels = [wheel for wheel in settings.models if wheel.name.startswith(project)]
        if project == "here" or wheels:
            paths[f"from rollout to gradient, {project}"] = (len(files), lines_of(files, *wheels))
    words = len((ROOT / "README.md").read_text(encoding="utf-8").split())
    names = list(table["here"])
    print(f"{'':28}", *(f"{name[:12]:>12}" for name in names))
    for project, row in table.items():
        print(f"{project:28}", *(f"{row[name]:12.1f}" for name in names))
    for path, (files, lines) in paths.items():
        print(f"{path}: {files} files, {lines:,} lines")
    print(f"README: {words} words")
    result = {
        "command": "python benchmarks/house.py",
        "counts": table,
        "files_and_lines": paths,
        "readme_words": words,
        "made_by": made_by(),
    }
    write_json(settings.output, result)


def lines_of(paths: Iterable[str], wheel: Path | None = None) -> int:
    """Lines of these files, of this repository or of a wheel."""
    if wheel is None:
        return sum(len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in paths)
    with zipfile.ZipFile(wheel) as files:
        return sum(len(files.read(path).splitlines()) for path in paths)


def of_folder(root: Path, rooms: tuple[str, ...] = ROOMS) -> Iterator[str]:
    """The texts of this repository's Python files."""
    for room in rooms:
        for path in sorted((root / room).rglob("*.py")):
            yield path.read_text(encoding="utf-8")


def of_commit(commit: str) -> Iterator[str]:
    """The same of an earlier commit."""
    command = ["git", "archive", "--format=tar", commit, *rooms_of(commit)]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member)
            if content is not None and member.name.endswith(".py"):
                yield content.read().decode("utf-8")


def rooms_of(commit: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", commit],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [name for name in listed.stdout.split() if name in ROOMS]


def of_wheel(wheel: Path) -> Iterator[str]:
    """The texts of a project's Python files, without tests, documents and examples."""
    with zipfile.ZipFile(wheel) as files:
        for name in sorted(files.namelist()):
            path = PurePosixPath(name)
            if path.suffix == ".py" and not set(path.parts) & set(LEFT_OUT):
                yield files.read(name).decode("utf-8", "replace")


def counted(texts: Iterable[str]) -> dict[str, float]:
    """Counts for each 1,000 lines, and means."""
    total: Counter[str] = Counter()
    for text in texts:
        total.update(counts_of(text))
    thousands = total["lines"] / 1_000
    return {
        "lines": total["lines"],
        "parallel assignments": total["parallel assignments"] / thousands,
        "comprehensions": total["comprehensions"] / thousands,
        "conditional expressions": total["conditional expressions"] / thousands,
        "Any": total["Any"] / thousands,
        "comment lines": total["comment lines"] / thousands,
        "lines over 100 columns": total["long lines"] / thousands,
        "mean width of code": total["width"] / total["code lines"],
        "% public functions with docstring": 100
        * total["documented"]
        / max(1, total["public functions"]),
        "% functions of at most 20 lines": 100
        * total["short functions"]
        / max(1, total["functions"]),
    }


def counts_of(text: str) -> Counter[str]:
    """What one file has of everything that is counted."""
    count: Counter[str] = Counter()
    lines = text.splitlines()
    count["lines"] = len(lines)
    count["long lines"] = sum(len(line) > 100 for line in lines)
    count["comment lines"] = sum(line.lstrip().startswith("#") for line in lines)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        count.update(counts_of_node(node))
    for number in code_lines(text):
        count["code lines"] += 1
        count["width"] += len(lines[number - 1])
    return count


def counts_of_node(node: ast.AST) -> Counter[str]:
    """What a node of the syntax tree is, of everything that is counted."""
    count: Counter[str] = Counter()
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
        count["parallel assignments"] += isinstance(node.targets[0], ast.Tuple)
    elif isinstance(node, COMPREHENSIONS):
        count["comprehensions"] += 1
    elif isinstance(node, ast.IfExp):
        count["conditional expressions"] += 1
    elif isinstance(node, ast.Name):
        count["Any"] += node.id == "Any"
    elif isinstance(node, FUNCTIONS):
        assert node.end_lineno is not None
        public = not node.name.startswith("_")
        count["functions"] += 1
        count["short functions"] += node.end_lineno - node.lineno < 20
        count["public functions"] += public
        count["documented"] += public and ast.get_docstring(node) is not None
    return count


def code_lines(text: str) -> set[int]:
    """Numbers of the lines that hold code; a string that stands alone, such as a docstring, is none."""
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    numbers: set[int] = set()
    at_start = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        alone = at_start and token.type == tokenize.STRING
        if token.type not in skipped and not alone:
            numbers.update(range(token.start[0], token.end[0] + 1))
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            at_start = True
        elif token.type not in skipped:
            at_start = False
    return numbers


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
