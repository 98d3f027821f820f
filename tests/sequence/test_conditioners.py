import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from smalti.sequence.conditioners import (
    CONDITIONERS,
    ClassLabel,
    ClassLabelConfig,
    ConditionerConfig,
    Unconditional,
    UnconditionalConfig,
    drop,
)
from smalti.types import InputError

CONFIGS = {
    "none": UnconditionalConfig(),
    "class": ClassLabelConfig(class_names=("cat", "dog", "7")),
}


@pytest.fixture
def animals() -> ClassLabel:
    return ClassLabel(CONFIGS["class"])


@pytest.mark.parametrize("kind", list(CONDITIONERS))
def test_every_kind_gives_tokens_of_its_length_inside_its_vocabulary(kind):
    conditioner = CONDITIONERS[kind](CONFIGS[kind])
    labels = conditioner.labels(None, 5)
    for tokens in (conditioner.tokens(labels, 5), conditioner.null_tokens(5)):
        assert tokens.shape == (5, conditioner.length)
        assert tokens.dtype == torch.int64
        assert tokens.min() >= 0
        assert tokens.max() < conditioner.vocab_size


@pytest.mark.parametrize("kind", list(CONDITIONERS))
def test_every_kind_is_chosen_by_its_tag(kind):
    adapter = TypeAdapter(ConditionerConfig)
    assert adapter.validate_python(adapter.dump_python(CONFIGS[kind])) == CONFIGS[kind]


def test_class_token_is_the_label(animals):
    assert animals.tokens(torch.tensor([2, 0]), 2).tolist() == [[2], [0]]


def test_null_token_is_no_class(animals):
    assert animals.null_tokens(2).tolist() == [[3], [3]]


@pytest.mark.parametrize(
    ("asked", "number"), [("dog", 1), (1, 1), ("1", 1), ("7", 2), ("cat", 0), (0, 0)]
)
def test_class_is_found_by_name_then_by_number(animals, asked, number):
    assert animals.class_number(asked) == number


def test_class_that_does_not_exist_names_the_nearest(animals):
    with pytest.raises(InputError, match="unknown class 'dogs'; did you mean 'dog'"):
        animals.class_number("dogs")


@pytest.mark.parametrize("number", [3, -1, "12"])
def test_class_number_outside_the_range_is_refused(animals, number):
    with pytest.raises(InputError, match=f"class {number} does not exist.*0 to 2"):
        animals.class_number(number)


@pytest.mark.parametrize(
    ("condition", "labels"),
    [("dog", [1, 1, 1, 1]), (["7", 0], [2, 0, 2, 0]), (None, [0, 1, 2, 0])],
)
def test_images_take_the_classes_asked_for_in_turn(animals, condition, labels):
    assert animals.labels(condition, 4).tolist() == labels


def test_empty_list_of_classes_is_refused(animals):
    with pytest.raises(InputError, match="empty"):
        animals.labels([], 4)


def test_class_prior_needs_labels(animals):
    with pytest.raises(InputError, match="these have none"):
        animals.tokens(None, 2)


def test_unconditional_prior_refuses_a_condition():
    with pytest.raises(InputError, match=r"knows no classes.*'dog'"):
        Unconditional(UnconditionalConfig()).labels("dog", 1)


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(ValidationError, match="two classes are called 'cat'"):
        ClassLabelConfig(class_names=("cat", "dog", "cat"))


def test_drop_replaces_whole_conditions_at_the_rate_asked_for(generator):
    cond_tokens, null_tokens = torch.zeros(4000, 3), torch.ones(4000, 3)
    dropped = drop(cond_tokens, null_tokens, 0.25, generator)
    assert torch.equal(dropped, dropped[:, :1].expand(-1, 3))
    assert 0.2 < dropped.mean().item() < 0.3


@pytest.mark.parametrize("probability", [0, 1])
def test_drop_of_none_and_of_all_is_exact(probability, generator):
    dropped = drop(torch.zeros(50, 1), torch.ones(50, 1), probability, generator)
    assert (dropped == probability).all()


def test_drop_depends_on_its_generator_only():
    def dropped(seed: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(seed)
        return drop(torch.zeros(64, 1), torch.ones(64, 1), 0.5, source)

    assert torch.equal(dropped(1), dropped(1))
    assert not torch.equal(dropped(1), dropped(2))
