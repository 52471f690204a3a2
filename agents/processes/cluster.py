"""Where a run's processes are: on this machine or on a Ray cluster's, each with the cores and GPUs
that it holds."""

import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import psutil
import ray
import torch
from ray._private import worker as ray_worker
from ray.util import get_current_placement_group, placement_group, remove_placement_group

from agents.experiment import Experiment, InvalidExperiment, first_line, require
from agents.monitoring.progress import to_stderr
from agents.processes.ray_start import (
    in_own_groups,
    keeps_signal_handlers,
    on_loopback,
    without_services,
)
from common.provenance import REPOSITORY

STAYS_HERE = [".git", ".venv", ".uv", "runs", "benchmarks/results", "**/__pycache__"]
"""What of the repository the other machines need not have; patterns as git's ignore files have
them."""

NO_GPU_UNASKED = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
"""A process that holds no GPU sees none."""
NO_IDLE_WORKERS = {"prestart_worker_first_driver": False, "enable_worker_prestart": False}
"""Workers are started when they are asked for; Ray would start one for each core."""
RESERVE_SECONDS = 10.0
WATCH_SECONDS = 0.2
ANSWER_SECONDS = 10.0
ADDRESS = re.compile(
    r"(ray://)?(?P<host>[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})"
)
MAX_SHOWN = 80
MAX_TEMPORARY_PATH = 25
"""Characters of the folder for temporary files; a socket's path has at most 107, and Ray adds up to
80."""


@dataclass(frozen=True)
class Bundle:
    """What one process holds of the machine that it runs on."""

    role: str
    cpus: float
    gpus: float

    def to_ray(self) -> dict[str, float]:
        """By Ray's names; what it holds nothing of is left out."""
        return {
            name: amount for name, amount in (("CPU", self.cpus), ("GPU", self.gpus)) if amount > 0
        }


def env_runner_bundle(experiment: Experiment) -> Bundle:
    """An env runner holds a core and no GPU, if the experiment's resources do not say otherwise."""
    asked = experiment.resources
    return Bundle("env runner", given(asked.env_runner_cpus, 1.0), asked.env_runner_gpus)


def learner_bundle(experiment: Experiment) -> Bundle:
    """A learner holds a GPU where there are any, else a core."""
    asked = experiment.resources
    gpus = given(asked.learner_gpus, 1.0 if gpus_at_hand() else 0.0)
    return Bundle("learner", given(asked.learner_cpus, 0.0 if gpus else 1.0), gpus)


def evaluator_bundle(experiment: Experiment) -> Bundle:
    """The evaluator holds a core and no GPU, if the experiment's resources do not say otherwise."""
    asked = experiment.resources
    return Bundle("evaluator", given(asked.evaluator_cpus, 1.0), asked.evaluator_gpus)


def remote_bundles(experiment: Experiment) -> list[Bundle]:
    """One for each process besides the one that was started by hand."""
    return (
        [env_runner_bundle(experiment)] * experiment.num_env_runners
        + [learner_bundle(experiment)] * experiment.num_learners
        + [evaluator_bundle(experiment)] * experiment.evaluate_beside
    )


def gpus_at_hand() -> int:
    """Of the cluster, once it is joined; before that, of this machine."""
    return (
        int(ray.cluster_resources().get("GPU", 0))
        if ray.is_initialized()
        else torch.cuda.device_count()
    )


def settled(experiment: Experiment) -> Experiment:
    """With what its learners hold said, so that a cluster that loses its GPUs does not make them
    learn on cores."""
    learner = learner_bundle(experiment)
    resources = replace(experiment.resources, learner_cpus=learner.cpus, learner_gpus=learner.gpus)
    return replace(experiment, resources=resources)


def cluster_address(experiment: Experiment) -> str:
    """Of the cluster to join; empty where Ray is to be started here."""
    return experiment.address or os.environ.get("RAY_ADDRESS", "")


@contextmanager
def ray_running(experiment: Experiment) -> Iterator[None]:
    """Joins the cluster, or starts Ray here, and leaves it in the end; where Ray runs in this
    process already, that is the one, and it goes on.

    Raises InvalidExperiment where no cluster answers or it has too little, ConnectionError where
    Ray does not start."""
    if ray.is_initialized():
        require_room(remote_bundles(experiment))
        yield
        return
    folder = None
    if address := cluster_address(experiment):
        to_stderr(f"joining the Ray cluster at {address}")
        join(address)
    else:
        to_stderr("starting Ray")
        folder = start(len(remote_bundles(experiment)))
    try:
        require_room(remote_bundles(experiment))  # only now is it known which GPUs there are
        require(
            not address or can_reserve(experiment, experiment.resources.patience_seconds),
            f"The cluster at {address} has what this run's processes hold, but not free, or not in "
            "one place; wait, or "
            "start fewer.",
        )
        with watched(("raylet", "gcs_server") if folder else ()):
            yield
    except ConnectionError as failure:
        if folder is None:
            raise
        kept = folder
        folder = None
        raise ConnectionError(f"{failure} The logs of Ray's processes are in {kept}.") from failure
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def watched(names: Collection[str]) -> Iterator[None]:
    """Asks for an orderly end of this program, as SIGTERM does, when one of its child processes of
    these names ends: soon after, Ray's core would end the program without a word.

    Raises ConnectionError where that happened."""
    watched_ones = [child for child in psutil.Process().children() if child.name() in names]
    names_of = {child.pid: child.name() for child in watched_ones}
    lost: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            lost.extend(names_of[child.pid] for child in watched_ones if not is_alive(child))
            if lost:
                print(f"Ray's process {lost[0]} has ended; stopping.", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except Exception as failure:
        if lost:
            raise ConnectionError(f"Ray's process {lost[0]} has ended.") from failure
        raise
    finally:
        over.set()
        thread.join()
    if lost:
        raise ConnectionError(f"Ray's process {lost[0]} has ended.")


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and was not waited for (a zombie) does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def join(address: str) -> None:
    """Joins a cluster. Its machines get the code that stands here, and need its packages installed.

    Raises InvalidExperiment where the address is none, or where no cluster answers at it."""
    require_answer(address)
    try:
        with (
            keeps_signal_handlers(),
            warnings.catch_warnings(action="ignore"),  # the error below says it in one line
        ):
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={
                    "working_dir": str(REPOSITORY),
                    "excludes": STAYS_HERE,
                    "env_vars": NO_GPU_UNASKED,
                },
            )
    except (ConnectionError, ValueError, RuntimeError) as refusal:
        raise InvalidExperiment(
            f"The Ray cluster at {address} does not let this run in: {first_line(refusal)} If it "
            "asks for a token, "
            "cluster/README.md has how to give it one."
        ) from refusal


def require_answer(address: str) -> None:
    """Raises InvalidExperiment for what is no address, or where nothing speaks gRPC: Ray itself
    would try for minutes.

    `auto` is left to Ray, which knows the clusters of this machine."""
    if address == "auto":
        return
    form = ADDRESS.fullmatch(address)
    require(
        form is not None and 0 < int(form["port"]) < 2**16,
        f"--address must be auto, HOST:PORT or ray://HOST:PORT, not {address[:MAX_SHOWN]!r}.",
    )
    if os.environ.get("RAY_USE_TLS", "0") not in ("0", "false", ""):
        return  # the certificates are Ray's to know
    channel = grpc.insecure_channel(address.removeprefix("ray://"))
    try:
        grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
    except grpc.FutureTimeoutError as silence:
        raise InvalidExperiment(
            f"No Ray cluster answers at {address} within {ANSWER_SECONDS:g} seconds."
        ) from silence
    finally:
        channel.close()


def start(processes: int) -> Path:
    """Starts Ray on this machine alone and returns its folder. Its processes may outnumber the
    cores: they wait for each other most of the time.

    Other machines reach none of its ports, and other users none of its files. It is tried twice: on
    a busy machine a process may answer too late for Ray. Raises ConnectionError where it does not
    start."""
    # The run itself says which of its processes died; what else Ray prints is in its logs.
    ray_worker.print_to_stdstream = lambda *_, **__: None
    for module in ("utils.actor_manager", "env.env_runner_group"):
        logging.getLogger(f"ray.rllib.{module}").setLevel(logging.CRITICAL)
    # Ray would have its workers yield to every other program: runners would starve beside a busy
    # learner.
    os.environ.setdefault("RAY_worker_niceness", "0")
    base = os.environ.get("RAY_TMPDIR", tempfile.gettempdir())
    folder = tempfile.mkdtemp(
        prefix="ray-", dir=base if len(base) <= MAX_TEMPORARY_PATH else "/tmp"
    )
    try:
        init_here(processes, f"{folder}/1")
    except Exception as failure:  # a busy machine's timeout is an Exception of no kind
        to_stderr(f"Ray did not start ({first_line(failure)}); trying once more.")
        ray.shutdown()
        try:
            init_here(processes, f"{folder}/2")
        except Exception as again:
            raise ConnectionError(
                f"Ray did not start on this machine ({first_line(again)}). Where other programs "
                "hold the cores, try "
                f"again when they have ended. The logs of Ray's processes are in {folder}."
            ) from again
    return Path(folder)


def init_here(processes: int, folder: str) -> None:
    """Starts Ray's processes, which write into the folder. Ray opens it to everybody; the one
    around it stays shut."""
    with keeps_signal_handlers(), on_loopback(), without_services(), in_own_groups():
        ray.init(
            address="local",
            _temp_dir=folder,
            # Actors import what this process can import, wherever it was started from.
            runtime_env={
                "env_vars": {
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    **NO_GPU_UNASKED,
                }
            },
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            num_cpus=max(os.cpu_count() or 1, processes + 1),
            num_gpus=torch.cuda.device_count(),
            _system_config=NO_IDLE_WORKERS,
        )


def require_room(bundles: list[Bundle]) -> None:
    """Raises InvalidExperiment where so many processes would wait for ever for cores or GPUs that
    are not there."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    roles = Counter(bundle.role for bundle in bundles)
    who = ", ".join(f"{count} {role}{'s' if count > 1 else ''}" for role, count in roles.items())
    for resource, noun in (("CPU", "cores"), ("GPU", "GPUs")):
        each = [bundle.to_ray().get(resource, 0.0) for bundle in bundles]
        per_machine = [machine.get(resource, 0.0) for machine in machines]
        require(
            max(each, default=0.0) <= max(per_machine),
            f"One process is to hold {max(each, default=0.0):g} {noun}, and no machine has more "
            "than "
            f"{max(per_machine):g}; see --resources.",
        )
        needed = sum(each)
        has = sum(per_machine)
        require(
            needed <= has,
            f"{who} hold {needed:g} {noun}, and Ray has {has:g}; start fewer, or give each less by "
            "--resources.",
        )


def with_room(experiment: Experiment) -> Experiment:
    """The experiment, once its processes have room again after a death; with fewer env runners
    where machines that a cluster lost do not come back.

    Raises ConnectionError where there is no room for its learners either."""
    # A sweep's trial has room of its own, which nobody else can take, nor could it be reserved once
    # more.
    if get_current_placement_group() or can_reserve(
        experiment, experiment.resources.patience_seconds
    ):
        return experiment
    fewer = [
        n
        for n in reversed(range(experiment.num_env_runners))
        if experiment.num_envs % max(1, n) == 0
    ]
    for runners in fewer:
        smaller = replace(experiment, num_env_runners=runners)
        if can_reserve(smaller, RESERVE_SECONDS):
            return smaller
    raise ConnectionError(
        f"Ray's machines have no room for {experiment.num_learners} learner(s) any more. Go on "
        "with --resume when they "
        "have."
    )


def can_reserve(experiment: Experiment, seconds: float) -> bool:
    """Whether env runners and learners get what they hold within so many seconds: asked of the
    machines themselves, since a dead one is on the cluster's list for some seconds more. The
    evaluator is not asked for: it may be alive."""
    wanted = [
        bundle.to_ray() for bundle in remote_bundles(replace(experiment, evaluate_beside=False))
    ]
    if not any(wanted):
        return True
    reserved = placement_group([bundle for bundle in wanted if bundle])
    try:
        return reserved.wait(seconds)
    finally:
        remove_placement_group(reserved)


def given(asked: float | None, otherwise: float) -> float:
    """What was asked for; `otherwise` where nothing was."""
    return otherwise if asked is None else asked
