"""Whether a caption fulfils a mission: what is learnt, how it is scored, and that it is read
back."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from language.settings.tasks import SimilarityTask
from language.similarity.model import BYTES, Similarity, auc, columns, trained_similarity

COLORS, KINDS = ("red", "blue", "grey"), ("ball", "key", "box")


def corpus(folder: Path) -> str:
    """All captions with all missions; those about the red key are to test on."""
    things = [f"{color} {kind}" for color, kind in product(COLORS, KINDS)]
    rows = [
        (f"you are in front of the {one}", f"go to the {other}", one == other)
        for one, other in product(things, things)
    ]
    for part in ("train", "test"):
        own = [
            row for row in rows if any("red key" in text for text in row[:2]) == (part == "test")
        ]
        lines = (f"{caption}\t{mission}\t{int(match)}\n" for caption, mission, match in own)
        (folder / f"captions-{part}.tsv").write_text("".join(lines))
    return str(folder)


@pytest.mark.parametrize("kind", ["siamese", "bert"])
def test_colors_and_kinds_are_told_apart_where_they_were_not_together(kind, tmp_path: Path) -> None:
    torch.manual_seed(0)
    lesson = SimilarityTask(corpus(tmp_path), kind, width=32).lesson()
    learner = torch.optim.Adam(lesson.module.parameters(), 3e-3)
    random = np.random.default_rng(0)
    for _ in range(120):
        loss, _ = lesson.loss(lesson.batch(random, 64))
        learner.zero_grad()
        loss.backward()
        learner.step()
    lesson.module.eval()
    with torch.no_grad():
        assert lesson.evaluate()["auc"] > 0.95
    assert 0.5 < lesson.baseline["auc"] <= 1.0
    assert ("auc_untrained" in lesson.baseline) == (kind == "bert")


def test_a_batch_has_as_many_pairs_that_match_as_that_do_not(tmp_path: Path) -> None:
    batch = SimilarityTask(corpus(tmp_path)).lesson().batch(np.random.default_rng(0), 32)
    assert batch["matches"].sum() == 16
    assert batch["captions"].shape == batch["missions"].shape == (32, BYTES)


def test_odds_fall_with_the_distance_between_the_sentences() -> None:
    torch.manual_seed(0)
    module = Similarity("siamese", 16)
    captions, missions, _ = columns(
        [("go to the red ball", "go to the red ball", True), ("go", "open a box", False)]
    )
    same, other = module(captions, missions).tolist()
    assert same == pytest.approx(2.0)
    ours, theirs = module.encoder(captions[1:]), module.encoder(missions[1:])
    assert other == pytest.approx(2.0 - (ours - theirs).abs().sum().item(), rel=1e-5)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    matches, odds = torch.tensor([True, True, False, False]), torch.tensor([3.0, 1.0, 2.0, 1.0])
    assert auc(matches, odds) == pytest.approx((1 + 1 + 0 + 0.5) / 4)


def test_weights_are_read_back_frozen(tmp_path: Path) -> None:
    module = Similarity("siamese", 16)
    save_file(module.state_dict(), tmp_path / "module.safetensors")
    told = {
        "format": "praxis-module-1",
        "name": "similarity",
        "settings": {"task": {"kind": "siamese", "width": 16}},
    }
    (tmp_path / "module.json").write_text(json.dumps(told))
    again = trained_similarity(str(tmp_path))
    captions, missions, _ = columns([("you are in front of the red ball", "go to a ball", True)])
    assert torch.equal(again(captions, missions), module(captions, missions))
    assert not any(weights.requires_grad for weights in again.parameters())
    told["settings"]["task"]["width"] = 32
    (tmp_path / "module.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="weights of another network"):
        trained_similarity(str(tmp_path))
    with pytest.raises(ValueError, match="No folder of a trained similarity"):
        trained_similarity("")


def test_pairs_of_one_sort_alone_are_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / f"captions-{part}.tsv").write_text(
            "you have opened the red door\topen the red door\t1\n"
        )
    with pytest.raises(ValueError, match="pairs that match and pairs that do not"):
        SimilarityTask(str(tmp_path)).lesson()
    with pytest.raises(ValueError, match=r"make_captions\.py"):
        SimilarityTask(str(tmp_path / "nowhere")).lesson()
