"""What tests share: hypothesis's profile, and one Ray for all trainings of a test process."""

import shutil

import pytest
from hypothesis import settings

# No clock: the first call of a property pays for lazy imports, and CI machines are shared.
settings.register_profile("praxis", deadline=None, max_examples=60, database=None)
settings.load_profile("praxis")


@pytest.fixture(scope="session")
def ray_here():
    """Ray takes some seconds to start; a training that finds one running leaves it running. It has
    eight cores and no GPU on every machine."""
    import ray  # here, because tests of environments do without it

    from agents.processes.cluster import start

    with pytest.MonkeyPatch.context() as machine:
        machine.setattr("agents.processes.cluster.os.cpu_count", lambda: 2)
        machine.setattr("agents.processes.cluster.torch.cuda.device_count", lambda: 0)
        folder = start(processes=7)
    yield
    ray.shutdown()
    shutil.rmtree(folder)
