"""Trains a module apart from any agent: Task -> a folder with its weights, its held-out score and its history."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from agents.checkpoint import write_durably
from agents.experiment import InvalidExperiment, require, to_json
from agents.interfaces import Lesson, Task
from agents.progress import LINE_EVERY_SECONDS
from agents.run_folder import made_by
from agents.settings.pretraining import Pretraining
from agents.train import stop_requests

FORMAT = "praxis-module-1"
WEIGHTS, DESCRIPTION = "module.safetensors", "module.json"


@dataclass(frozen=True)
class Pretrained:
    """What a training has come to."""

    folder: Path
    step: int
    metrics: dict[str, float]
    baseline: dict[str, float]


def pretrain(settings: Pretraining) -> Pretrained:
    """Trains, keeps the weights that did best on held-out examples, and says how well they did.

    Ctrl-C and SIGTERM stop it early, with what has been kept. Raises InvalidExperiment for a user's mistake,
    FloatingPointError when the loss stopped being a finite number."""
    settings.validate()
    folder = Path(settings.run_dir or f"runs/modules/{settings.task.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    require(not folder.exists() or not any(folder.iterdir()), f"{folder} exists already; choose another --run-dir.")
    torch.manual_seed(settings.seed)
    lesson = lesson_of(settings.task)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lesson.module.to(device)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{settings.task.name} -> {folder}\ntensorboard --logdir {folder.parent}", flush=True)
    with SummaryWriter(str(folder)) as board, (folder / "progress.jsonl").open("a", buffering=1) as progress:
        result = _train(settings, lesson, folder, device, board, progress)
    describe(result, settings, lesson)
    return result


def _train(
    settings: Pretraining, lesson: Lesson, folder: Path, device: torch.device, board: SummaryWriter, progress: Any
) -> Pretrained:
    best, best_step, last_line = {lesson.score: -math.inf}, 0, -math.inf
    optimizer = torch.optim.AdamW(
        lesson.module.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
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
                log(board, progress, step, {f"train/{name}": value for name, value in told.items()})
                print("  ".join([f"step {step:,}/{settings.total_steps:,}", *pairs(told), *pairs(best)]), flush=True)
            if step % settings.evaluate_every_steps and step != settings.total_steps and not stopped():
                continue
            with progress("evaluating on held-out data"):
                metrics = held_out(lesson)
            log(board, progress, step, {f"held-out/{name}": value for name, value in metrics.items()})
            if metrics[lesson.score] > best[lesson.score]:
                best, best_step = metrics, step
                write_durably(folder / WEIGHTS, save(weights_of(lesson.module)))
                for name, picture in lesson.pictures().items():
                    board.add_image(f"held-out/{name}", picture, step, dataformats="HWC")
            elif step - best_step >= settings.patience * settings.evaluate_every_steps:
                print(f"No better {lesson.score} for {settings.patience} evaluations: stopped after {step:,} steps.")
                break
            if stopped():
                break
    return Pretrained(folder, best_step, best, lesson.baseline)


def gradient_step(
    lesson: Lesson, optimizer: torch.optim.Optimizer, random: np.random.Generator, size: int, device: torch.device
) -> dict[str, Tensor]:
    lesson.module.train()
    batch = {name: column.to(device, non_blocking=True) for name, column in lesson.batch(random, size).items()}
    loss, terms = lesson.loss(batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(lesson.module.parameters(), 5.0)
    optimizer.step()
    return {"loss": loss.detach()} | terms


@torch.no_grad()
def held_out(lesson: Lesson) -> dict[str, float]:
    lesson.module.eval()
    return lesson.evaluate()


def lesson_of(task: Task) -> Lesson:
    try:
        return task.lesson()
    except ValueError as mistake:
        raise InvalidExperiment(str(mistake)) from mistake


def tell_of_the_end() -> None:
    print("\nStopping after one evaluation. Once more ends at once.", flush=True)


def schedule(done: float) -> float:
    """Share of the learning rate when this share of the steps is done."""
    return min(1.0, 20 * done) * 0.5 * (1 + math.cos(math.pi * done))


def finite(terms: dict[str, float], step: int) -> dict[str, float]:
    if not math.isfinite(terms["loss"]):
        raise FloatingPointError(f"The loss became {terms['loss']} after {step:,} steps; lower --learning-rate.")
    return terms


def weights_of(module: nn.Module) -> dict[str, Tensor]:
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
    write_durably(result.folder / DESCRIPTION, (json.dumps(told, indent=1) + "\n").encode())


def restore(lesson: Lesson, folder: Path) -> None:
    """The module's weights from its folder. Raises InvalidExperiment where they are missing or of another module."""
    try:
        lesson.module.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError) as damage:
        raise InvalidExperiment(f"{folder} does not hold this module's weights: {damage}") from damage


def log(board: SummaryWriter, progress: Any, step: int, metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        board.add_scalar(name, value, step)
    progress.write(json.dumps({"step": step, "time": round(time.time(), 3)} | metrics) + "\n")


def pairs(metrics: dict[str, float]) -> list[str]:
    return [f"{name} {value:.3g}" for name, value in metrics.items() if math.isfinite(value)]
