"""Trains a module apart from any agent: Task -> a folder with its weights, its held-out score and
its history."""

import io
import json
import math
import shlex
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from agents.engine.memory_needed import memory_checked
from agents.experiment import InvalidExperiment, first_line, require, to_json
from agents.interfaces import Lesson, Task
from agents.monitoring.event_file import EventFile
from agents.monitoring.progress import LINE_EVERY_SECONDS, progress
from agents.processes.signals import stop_requests
from agents.settings.pretraining import Pretraining
from agents.training.folders import check_disk, exists, is_vacant, new_folder
from common.files import DESCRIPTION, write_durably, write_json
from common.module_files import FORMAT, WEIGHTS, read_weights
from common.provenance import made_by


@dataclass(frozen=True)
class Pretrained:
    """What a training has come to."""

    folder: Path
    step: int
    metrics: dict[str, float]
    baseline: dict[str, float]


def pretrain(settings: Pretraining) -> Pretrained:
    """Trains, keeps the weights that did best on held-out examples, and says how well they did.

    Ctrl-C and SIGTERM stop it early, with what has been kept. Raises InvalidExperiment for a user's
    mistake, FloatingPointError when the loss or the score stopped being a finite number."""
    settings.validate()
    default = f"runs/modules/{settings.task.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    check_disk(Path(settings.run_dir or default))
    if settings.run_dir:
        wanted = Path(settings.run_dir)
        require(
            not exists(wanted) or is_vacant(wanted),
            f"{wanted} exists already; choose another --run-dir.",
        )
    torch.manual_seed(settings.seed)
    lesson = lesson_of(settings.task)
    require_batch_memory(lesson, settings.batch_size)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lesson.module.to(device)
    with new_folder(settings.run_dir, default) as folder:
        print(f"{settings.task.name} -> {folder}", flush=True)
        print(f"tensorboard --logdir {shlex.quote(str(folder.parent))}", flush=True)
        with (
            closing(EventFile(folder, first_step=0)) as events,
            (folder / "progress.jsonl").open("a", buffering=1) as history,
        ):
            result = _train(settings, lesson, folder, device, events, history)
        describe(result, settings, lesson)
    return result


def require_batch_memory(lesson: Lesson, batch_size: int) -> None:
    """Raises InvalidExperiment where a batch does not fit into the memory."""
    # So that this example does not change what the training draws.
    with torch.random.fork_rng(devices=[]):
        example = lesson.batch(np.random.default_rng(0), 1)
    needed = batch_size * sum(column.nbytes for column in example.values())
    free = psutil.virtual_memory().available
    require(
        needed < free,
        f"--batch-size {batch_size:,} takes {needed >> 20:,} MiB a batch, and {free >> 20:,} MiB "
        "of memory are free.",
    )


def _train(
    settings: Pretraining,
    lesson: Lesson,
    folder: Path,
    device: torch.device,
    events: EventFile,
    history: Any,
) -> Pretrained:
    best = {lesson.score: -math.inf}
    best_step = 0
    last_line = -math.inf
    optimizer = torch.optim.AdamW(
        lesson.module.parameters(),
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    random = np.random.default_rng(settings.seed)
    with stop_requests(tell_of_the_end) as stopped:
        for step in range(1, settings.total_steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(step / settings.total_steps)
            terms = gradient_step(lesson, optimizer, random, settings.batch_size, device)
            now = time.monotonic()
            if now - last_line >= LINE_EVERY_SECONDS or step == settings.total_steps:
                last_line = now
                told = finite({name: float(term) for name, term in terms.items()}, step)
                log(events, history, step, {f"train/{name}": value for name, value in told.items()})
                print(
                    "  ".join(
                        [f"step {step:,}/{settings.total_steps:,}", *pairs(told), *pairs(best)]
                    ),
                    flush=True,
                )
            if (
                step % settings.evaluate_every_steps
                and step != settings.total_steps
                and not stopped()
            ):
                continue
            finite({name: float(term) for name, term in terms.items()}, step)
            with progress("evaluating on held-out data"):
                metrics = held_out(lesson)
            if not math.isfinite(metrics[lesson.score]):
                raise FloatingPointError(
                    f"{lesson.score} became {metrics[lesson.score]} after {step:,} steps; lower "
                    "--learning-rate."
                )
            log(
                events,
                history,
                step,
                {f"held-out/{name}": value for name, value in metrics.items()},
            )
            if metrics[lesson.score] > best[lesson.score]:
                best = metrics
                best_step = step
                write_durably(folder / WEIGHTS, save(weights_of(lesson.module)))
                for name, picture in lesson.pictures().items():
                    height, width, _ = picture.shape
                    events.add_image(f"held-out/{name}", png(picture), (width, height), step)
            elif step - best_step >= settings.patience * settings.evaluate_every_steps:
                print(
                    f"No better {lesson.score} for {settings.patience} evaluations: stopped after "
                    f"{step:,} steps."
                )
                break
            if stopped():
                break
    return Pretrained(folder, best_step, best, lesson.baseline)


def gradient_step(
    lesson: Lesson,
    optimizer: torch.optim.Optimizer,
    random: np.random.Generator,
    size: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """One step on a new batch, gradients scaled down to a norm of 5; gives the loss and its terms,
    detached."""
    lesson.module.train()
    batch = {
        name: column.to(device, non_blocking=True)
        for name, column in lesson.batch(random, size).items()
    }
    loss, terms = lesson.loss(batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(lesson.module.parameters(), 5.0)
    optimizer.step()
    return {"loss": loss.detach()} | terms


@torch.no_grad()
def held_out(lesson: Lesson) -> dict[str, float]:
    """Metrics on the held-out examples, of the module in evaluation mode."""
    lesson.module.eval()
    return lesson.evaluate()


def lesson_of(task: Task) -> Lesson:
    """The task's module with its data. Raises InvalidExperiment for settings or data that cannot
    be."""
    try:
        with memory_checked("the module"):
            return task.lesson()
    except (ValueError, TypeError, OverflowError, RuntimeError, MemoryError) as mistake:
        # torch tells of sizes that no memory holds by a RuntimeError.
        raise InvalidExperiment(
            f"No {task.name} can be made of these settings: {first_line(mistake)}"
        ) from mistake


def tell_of_the_end() -> None:
    """Says, at the first request to stop, what is still done."""
    print("\nStopping after one evaluation. Press Ctrl-C again to end at once.", flush=True)


def schedule(done: float) -> float:
    """Share of the learning rate when this share of the steps is done."""
    return min(1.0, 20 * done) * 0.5 * (1 + math.cos(math.pi * done))


def finite(terms: dict[str, float], step: int) -> dict[str, float]:
    """Returns the terms. Raises FloatingPointError where the loss is not a finite number."""
    if not math.isfinite(terms["loss"]):
        raise FloatingPointError(
            f"The loss became {terms['loss']} after {step:,} steps; lower --learning-rate."
        )
    return terms


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """The module's state by name, on the CPU and contiguous, as safetensors saves it."""
    return {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}


def describe(result: Pretrained, settings: Pretraining, lesson: Lesson) -> None:
    """Writes what the weights are, how they were made and how good they are."""
    told = {
        "format": FORMAT,
        "name": settings.task.name,
        "score": lesson.score,
        "held_out": result.metrics,
        "baseline": result.baseline,
        "step": result.step,
        "parameters": sum(parameter.numel() for parameter in lesson.module.parameters()),
        "settings": to_json(settings),
        **made_by(),
    }
    write_json(result.folder / DESCRIPTION, told)


def restore(lesson: Lesson, folder: Path) -> None:
    """Loads the module's weights from its folder. Raises InvalidExperiment where they are missing,
    of another module or not finite."""
    try:
        lesson.module.load_state_dict(read_weights(folder))
    except Exception as damage:  # a vocabulary among them may raise anything
        raise InvalidExperiment(
            f"{folder} does not hold this module's weights: {damage}"
        ) from damage


def png(picture: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def log(events: EventFile, history: Any, step: int, metrics: dict[str, float]) -> None:
    """Writes metrics into TensorBoard's events and progress.jsonl, by the same names; a number that
    is not finite is null in the latter, as JSON has no other word for it."""
    events.add_scalars(metrics, step)
    finite_ones = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    history.write(json.dumps({"step": step, "time": round(time.time(), 3)} | finite_ones) + "\n")


def pairs(metrics: dict[str, float]) -> list[str]:
    """The finite metrics as texts, each of a name and a number."""
    return [f"{name} {value:.3g}" for name, value in metrics.items() if math.isfinite(value)]
