"""What tests share: hypothesis's profile, and one Ray for all trainings of a test process."""

import pytest
from hypothesis import settings

# No clock: the first call of a property pays for lazy imports, and CI machines are shared.
settings.register_profile("praxis", deadline=None, max_examples=60, database=None)
settings.load_profile("praxis")


@pytest.fixture(scope="session")
def ray_here():
    """Ray takes some seconds to start; a training that finds one running leaves it running."""
    import ray  # here, because tests of environments do without it

    from agents.cluster import start

    start(processes=7)
    yield
    ray.shutdown()
