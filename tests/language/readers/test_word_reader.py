"""Instruction encoders: what they are given, that order counts where it should, and that nothing is
read twice."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from agents.acceleration.adam import Adam
from common.text import to_bytes
from language.readers.word_reader import KINDS, SelfAttention, WordReader, numbered, places
from language.settings.encoders import ReaderConfig

ALL = pytest.mark.parametrize("kind", KINDS)


def column(*sentences: str) -> torch.Tensor:
    return torch.stack([torch.from_numpy(to_bytes(sentence, 64)) for sentence in sentences])


def reader(kind: Any) -> WordReader:
    torch.manual_seed(0)
    return ReaderConfig(kind, width=16).build()


@ALL
def test_a_sentence_is_read_alike_in_every_batch(kind: str) -> None:
    read = reader(kind)
    alone = read(column("go to the red ball"))
    words, is_word, whole = read(
        column("open the door", "go to the red ball", "把那个红色的球放到那个绿色的箱子旁边")
    )
    torch.testing.assert_close(words[1, :5], alone[0][0])
    torch.testing.assert_close(whole[1], alone[2][0])
    assert is_word.sum(1).tolist() == [3, 5, 18]


@ALL
def test_remembered_sentences_are_those_that_would_be_read(kind: str) -> None:
    read, sentences = (
        reader(kind),
        column("go to the red ball", "pick up a key", "go to the red ball"),
    )
    learning = read(sentences)
    with torch.no_grad():
        for _ in range(2):
            for first, second in zip(learning, read(sentences), strict=True):
                torch.testing.assert_close(first, second)
    assert len(read.known) == 2


def test_nothing_is_read_twice_until_the_weights_change(monkeypatch: pytest.MonkeyPatch) -> None:
    read, looks = reader("lstm"), []
    whole = read.read
    monkeypatch.setattr(
        read, "read", lambda sentences: looks.append(len(sentences)) or whole(sentences)
    )
    with torch.no_grad():
        read(column("go", "stop", "go"))
        read(column("stop"))
        read(column("wait", "go"))
        assert looks == [2, 1]
    read(column("go"))[2].sum().backward()
    with torch.no_grad():
        read(column("go"))
    assert looks == [2, 1, 1, 1], "learning forgets what was read"


def test_all_is_forgotten_before_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("language.readers.word_reader.MAX_REMEMBERED", 3)
    read = reader("mean")
    with torch.no_grad():
        for sentences in (["go", "stop"], ["wait", "open the door"], ["go", "open the door"]):
            torch.testing.assert_close(read(column(*sentences))[2], read.read(sentences)[2])
    assert set(read.known) == {"go", "open the door"}


def test_other_weights_read_anew() -> None:
    read = reader("mean")
    with torch.no_grad():
        before = read(column("go"))[2]
        read.load_state_dict({name: weights + 1.0 for name, weights in read.state_dict().items()})
        torch.testing.assert_close(read(column("go"))[2], before + 1.0)


def test_a_target_that_moves_reads_anew() -> None:
    read = reader("mean")
    target = deepcopy(read)
    with torch.no_grad():
        before = target(column("go"))[2]
        torch._foreach_lerp_(
            list(target.parameters()), [weights + 1.0 for weights in read.parameters()], 0.5
        )
        torch.testing.assert_close(target(column("go"))[2], before + 0.5)


def test_after_a_gradient_step_everything_is_read_anew() -> None:
    """Also what was read without gradients for the sake of the step, as by the judge of double
    Q-learning."""
    read = reader("mean")
    optimizer = Adam(list(read.parameters()), 0.1, 1e-8)
    loss = read(column("go"))[2].sum()
    with torch.no_grad():
        before = read(column("go"))[2]
    loss.backward()
    optimizer.descend(list(read.parameters()), [weights.grad for weights in read.parameters()])
    with torch.no_grad():
        torch.testing.assert_close(read(column("go"))[2], before - 0.1)


@ALL
def test_order_counts_but_for_the_mean(kind: str) -> None:
    one, other = reader(kind)(
        column("put the ball next to the box", "put the box next to the ball")
    )[2]
    assert torch.allclose(one, other, atol=1e-6) == (kind == "mean")


@ALL
def test_every_weight_learns(kind: str) -> None:
    read = reader(kind)
    words, _, whole = read(column("go to the red ball", "pick up"))
    (whole.square().sum() + words.square().sum()).backward()
    assert all(
        weights.grad is not None and weights.grad.abs().sum() > 0 for weights in read.parameters()
    )


def test_self_attention_is_torchs_without_what_it_leaves_out() -> None:
    """The second derivation: torch's own layer with biases of 0, normalizations of 1, and heads
    left as they are."""
    torch.manual_seed(0)
    own = SelfAttention(16)
    torchs = nn.TransformerEncoderLayer(16, 1, 32, dropout=0.0, batch_first=True, norm_first=True)
    for name, weights in torchs.named_parameters():
        weights.data.fill_(1.0 if name.startswith("norm") and name.endswith("weight") else 0.0)
    for theirs, ours in (
        (torchs.self_attn.in_proj_weight, own.asks.weight.data),
        (torchs.self_attn.out_proj.weight, torch.eye(16)),
        (torchs.linear1.weight, own.wide.weight.data),
        (torchs.linear2.weight, own.narrow.weight.data),
    ):
        theirs.data.copy_(ours)
    words = torch.randn(3, 5, 16)
    is_word = torch.arange(5) < torch.tensor([[5], [2], [1]])
    expected = torchs.train()(words, src_key_padding_mask=~is_word)
    torch.testing.assert_close(own(words, is_word)[is_word], expected[is_word])


def test_words_and_characters() -> None:
    assert (
        numbered("Go to, go", 1_024)[0]
        == numbered("go", 1_024)[0]
        == numbered("Go to, go", 1_024)[2]
    )
    assert len(numbered("走到那个球那里", 1_024)) == 7
    assert len(numbered("", 1_024)) == 1
    assert all(1 <= number < 4 for number in numbered("a b c d e f g h", 4))


def test_places_are_sines_and_cosines() -> None:
    told = places(2, 4, torch.device("cpu"))
    torch.testing.assert_close(told[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    angles = torch.tensor([1.0, 0.01])
    torch.testing.assert_close(told[1], torch.stack([angles.sin(), angles.cos()], 1).flatten())


def test_word_vectors_that_were_learnt_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from language.vectors import word_vectors as embeddings

    known = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0]])
    monkeypatch.setattr(embeddings, "word_vectors", lambda folder: (["red", "ball"], known))
    read = ReaderConfig("mean", width=4, words="somewhere").build()
    words, _, _ = read(column("red ball"))
    torch.testing.assert_close(words[0].detach(), known / known.std())
    for wrong in ({"width": 8}, {"buckets": 2}):
        with pytest.raises(ValueError, match="2 words of 4 numbers"):
            ReaderConfig("mean", words="somewhere", **({"width": 4} | wrong)).build()


@pytest.mark.parametrize("wrong", [{"width": 7}, {"width": 0}, {"buckets": 1}])
def test_settings_without_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"(width|buckets) must be"):
        ReaderConfig(**wrong)  # pyright: ignore[reportArgumentType]
