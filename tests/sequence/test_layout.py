import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smalti.sequence.layout import Layout

sizes = st.integers(1, 7)
layouts = st.builds(
    Layout, codebook_size=sizes, cond_length=sizes, cond_vocab_size=sizes, image_length=sizes
)


@given(layout=layouts)
def test_segments_of_the_vocabulary_are_disjoint_and_fill_it(layout):
    image = range(layout.codebook_size)
    cond = layout.shift(torch.arange(layout.cond_vocab_size)).tolist()
    assert [*image, *cond] == list(range(layout.vocab_size))


@given(layout=layouts)
def test_targets_are_the_image_and_the_last_token_is_only_predicted(layout):
    cond_tokens = torch.zeros(2, layout.cond_length, dtype=torch.int64)
    image_tokens = torch.arange(2 * layout.image_length).view(2, -1) % layout.codebook_size
    sequence = layout.join(cond_tokens, image_tokens)
    assert sequence.tokens.shape == (2, layout.input_length)
    assert torch.equal(sequence.targets, image_tokens)
    assert torch.equal(sequence.tokens[:, layout.cond_length :], image_tokens[:, :-1])
    assert (sequence.tokens[:, : layout.cond_length] == layout.codebook_size).all()


@given(layout=layouts)
def test_image_logits_are_those_of_the_positions_before_each_image_token(layout):
    positions = torch.arange(layout.input_length).view(1, -1, 1)
    first = layout.cond_length - 1
    picked = layout.image_logits(positions).flatten().tolist()
    assert picked == list(range(first, first + layout.image_length))


def test_part_of_another_length_is_refused():
    layout = Layout(codebook_size=4, cond_length=1, cond_vocab_size=1, image_length=6)
    tokens = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match="6 image tokens, got 1 and 5"):
        layout.join(*tokens)
