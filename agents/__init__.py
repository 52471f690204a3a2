"""The learners: experiments, the engine on Ray RLlib, algorithms, evaluation."""

import os

# Read once, when torch loads its OpenMP. Its workers otherwise burn a core for milliseconds after
# each operation, waiting for the next one, while the environments' threads want that core.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
