"""Modules that are trained apart from agents: what is trained, on what, for how long."""

from collections.abc import Callable

from agents.settings.pretraining import Pretraining
from language.settings.tasks import (
    BackTranslationTask,
    DistillationTask,
    EmbeddingsTask,
    MultiTask,
    RetrievalTask,
    SimilarityTask,
    TranslationTask,
)
from perception.settings.encoders import MLPConfig
from perception.settings.tasks import (
    ClassifierTask,
    DigitsTask,
    MaskRCNNTask,
    SSDTask,
    TransferTask,
    UNetTask,
    YOLOTask,
)


def digits() -> Pretraining:
    """Ours, for the layers of an agent's encoder as they are."""
    return Pretraining(
        DigitsTask(), total_steps=1_000, batch_size=64, learning_rate=3e-3, evaluate_every_steps=100
    )


def unet() -> Pretraining:
    """Ours."""
    return Pretraining(
        UNetTask(), total_steps=1_500, batch_size=16, learning_rate=3e-3, evaluate_every_steps=150
    )


def yolo() -> Pretraining:
    """Ours."""
    return Pretraining(
        YOLOTask(), total_steps=2_000, batch_size=16, learning_rate=2e-3, evaluate_every_steps=200
    )


def ssd() -> Pretraining:
    """Ours."""
    return Pretraining(
        SSDTask(), total_steps=2_000, batch_size=16, learning_rate=2e-3, evaluate_every_steps=200
    )


def classifier() -> Pretraining:
    """Ours."""
    return Pretraining(
        ClassifierTask(),
        total_steps=1_000,
        batch_size=32,
        learning_rate=2e-3,
        evaluate_every_steps=100,
    )


def maskrcnn() -> Pretraining:
    """Ours."""
    return Pretraining(
        MaskRCNNTask(), total_steps=700, batch_size=6, learning_rate=2e-3, evaluate_every_steps=175
    )


def transfer() -> Pretraining:
    """Ours; one layer learns."""
    return Pretraining(
        TransferTask(),
        total_steps=1_000,
        batch_size=128,
        learning_rate=3e-3,
        evaluate_every_steps=100,
    )


def translation() -> Pretraining:
    """Ours; about twelve times through the pairs."""
    return Pretraining(
        TranslationTask(),
        total_steps=3_600,
        batch_size=64,
        learning_rate=2e-3,
        evaluate_every_steps=900,
    )


def mission_translation() -> Pretraining:
    """Ours."""
    task = TranslationTask(texts="missions", width=128, vocabulary=250, dropout=0.1, beam=1)
    return Pretraining(
        task, total_steps=4_000, batch_size=64, learning_rate=3e-3, evaluate_every_steps=1_000
    )


def embeddings() -> Pretraining:
    """Ours; one layer learns, the vectors are learnt before. Window and epochs: of {5, 10} and {10,
    20}, the best."""
    return Pretraining(
        EmbeddingsTask(),
        total_steps=600,
        batch_size=256,
        learning_rate=1e-2,
        evaluate_every_steps=100,
    )


def similarity() -> Pretraining:
    """Ours."""
    return Pretraining(
        SimilarityTask(),
        total_steps=1_500,
        batch_size=128,
        learning_rate=3e-3,
        evaluate_every_steps=150,
    )


def retrieval() -> Pretraining:
    """Ours."""
    return Pretraining(
        RetrievalTask(),
        total_steps=400,
        batch_size=1_024,
        learning_rate=3e-3,
        evaluate_every_steps=50,
    )


def distillation() -> Pretraining:
    """Ours."""
    task = DistillationTask()
    return Pretraining(
        task, total_steps=10_000, batch_size=64, learning_rate=4e-3, evaluate_every_steps=2_500
    )


def back_translation() -> Pretraining:
    """Ours."""
    task = BackTranslationTask()
    return Pretraining(
        task, total_steps=7_500, batch_size=32, learning_rate=2e-3, evaluate_every_steps=1_500
    )


def multitask() -> Pretraining:
    """Ours."""
    return Pretraining(
        MultiTask(),
        total_steps=6_000,
        batch_size=32,
        learning_rate=2e-3,
        evaluate_every_steps=3_000,
    )


SAVED_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        Pretraining,
        DigitsTask,
        MLPConfig,
        ClassifierTask,
        TransferTask,
        UNetTask,
        YOLOTask,
        SSDTask,
        MaskRCNNTask,
        EmbeddingsTask,
        SimilarityTask,
        RetrievalTask,
        TranslationTask,
        DistillationTask,
        BackTranslationTask,
        MultiTask,
    )
}
"""Every class that a module.json may name."""
MODULES: dict[str, Callable[[], Pretraining]] = {
    "digits": digits,
    "classifier": classifier,
    "unet": unet,
    "yolo": yolo,
    "ssd": ssd,
    "maskrcnn": maskrcnn,
    "transfer": transfer,
    "embeddings": embeddings,
    "similarity": similarity,
    "retrieval": retrieval,
    "translation": translation,
    "mission-translation": mission_translation,
    "distillation": distillation,
    "back-translation": back_translation,
    "multitask": multitask,
}
