import shutil

import pytest
import torch
from pydantic import ValidationError

from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.low_resolution import LowResolutionConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.config import InputError
from smalti.content import RGBContent
from smalti.model_folder import write_model_files
from smalti.prior.base import GridSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling.config import SamplingConfig
from smalti.sampling.kept_cache import KeptCache
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import draw_canvas
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

CODES, HEIGHT, WIDTH = 16, 3, 4
CLASSES = ClassLabelConfig(class_names=("cat", "dog", "pig"))
QUIET = {"progress": False}


def prior_config(conditioner=CLASSES, vocab_size=CODES + 4, **changes) -> PriorModelConfig:
    gpt = GPT2Config(layers=2, heads=2, width=16, dropout=0)
    sizes = {"vocab_size": vocab_size, "max_length": HEIGHT * WIDTH}
    grid = {"codebook_size": CODES, "grid_height": HEIGHT, "grid_width": WIDTH}
    options = {"prior": gpt, "condition_drop": 0.1} | sizes | grid | changes
    return PriorModelConfig(conditioners=(conditioner,), **options)


def pipeline_of(config: PriorModelConfig, generator: torch.Generator) -> Pipeline:
    prior = GPT(config.prior, config.sizes)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    vqgan = VQGAN(VQGANConfig(codebook_size=CODES, channel_multipliers=(1, 1)))
    return Pipeline(vqgan.eval(), prior.eval(), config)


@pytest.fixture
def pipeline(generator) -> Pipeline:
    """Class-conditional, images of 6x8."""
    return pipeline_of(prior_config(), generator)


@pytest.fixture
def unconditional(generator) -> Pipeline:
    return pipeline_of(prior_config(UnconditionalConfig(), CODES + 1), generator)


def test_pictures_have_the_trained_size(pipeline):
    pictures = pipeline.sample(3, **QUIET)
    assert [(picture.mode, picture.size) for picture in pictures] == [("RGB", (8, 6))] * 3


def test_unconditional_prior_makes_pictures_too(unconditional):
    assert len(unconditional.sample(2, **QUIET)) == 2


def test_pictures_are_the_decoded_codes(pipeline):
    codes = pipeline.sample_codes(pipeline.request(3), seed=4, **QUIET)
    assert codes.shape == (3, HEIGHT, WIDTH)
    images = pipeline.tokenizer.decode(codes)
    pictures = pipeline.sample(3, seed=4, **QUIET)
    expected = ((images + 1) * 127.5).round().byte()[2, :, 1, 5].tolist()
    assert pictures[2].getpixel((5, 1)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_batch_size_changes_nothing(pipeline, batch_size, guidance):
    config = SamplingConfig(guidance=guidance)
    whole = pipeline.sample_codes(pipeline.request(5), config=config, batch_size=5, **QUIET)
    split = pipeline.sample_codes(
        pipeline.request(5), config=config, batch_size=batch_size, **QUIET
    )
    assert torch.equal(split, whole)


def test_fewer_images_are_the_first_of_more(pipeline):
    more = pipeline.sample_codes(pipeline.request(5, "cat"), **QUIET)
    assert torch.equal(pipeline.sample_codes(pipeline.request(2, "cat"), **QUIET), more[:2])


def test_seeds_differ(pipeline):
    codes = [pipeline.sample_codes(pipeline.request(1), seed=seed, **QUIET) for seed in (0, 1)]
    assert not torch.equal(*codes)


def test_classes_may_be_names_or_numbers_and_are_taken_in_turn(pipeline):
    by_name = pipeline.sample_codes(pipeline.request(4, ["dog", "pig"]), **QUIET)
    assert torch.equal(by_name, pipeline.sample_codes(pipeline.request(4, [1, "2"]), **QUIET))
    assert torch.equal(
        by_name[::2], pipeline.sample_codes(pipeline.request(4, "dog"), **QUIET)[::2]
    )


def test_no_condition_takes_all_classes_in_turn(pipeline):
    in_turn = pipeline.sample_codes(pipeline.request(4, ["cat", "dog", "pig"]), **QUIET)
    assert torch.equal(pipeline.sample_codes(pipeline.request(4), **QUIET), in_turn)


def test_temperature_0_and_top_1_agree(pipeline):
    greedy = pipeline.sample_codes(
        pipeline.request(3), config=SamplingConfig(temperature=0), **QUIET
    )
    top_1 = pipeline.sample_codes(pipeline.request(3), config=SamplingConfig(top_k=1), **QUIET)
    assert torch.equal(greedy, top_1)


def test_pictures_are_drawn_in_the_stride_asked_for(pipeline, monkeypatch):
    strides = []

    def noted(*args):
        strides.append(args[5].stride)
        return draw_canvas(*args)

    monkeypatch.setattr("smalti.sampling.pipeline.draw_canvas", noted)
    pipeline.sample(1, size=(12, 32), stride=2, **QUIET)
    assert strides == [2]


@pytest.mark.parametrize("options", [{}, {"speculative": 3}, {"precision": "bfloat16"}])
def test_batches_with_one_cache_draw_what_each_draws_alone(pipeline, options, monkeypatch):
    request, config = pipeline.request(5, ["cat", "dog", "pig"]), SamplingConfig(**options)

    def drawn() -> torch.Tensor:
        return pipeline.sample_codes(request, config=config, batch_size=2, **QUIET)

    together = drawn()
    monkeypatch.setattr(KeptCache, "__call__", lambda kept, rows: kept.prior.new_cache(rows))
    assert torch.equal(together, drawn())


def test_a_cache_is_made_once_for_batches_of_as_many_rows(pipeline, monkeypatch):
    made, new_cache = [], pipeline.prior.new_cache

    def noted(rows: int) -> object:
        made.append(rows)
        return new_cache(rows)

    monkeypatch.setattr(pipeline.prior, "new_cache", noted)
    pipeline.sample_codes(pipeline.request(5), batch_size=2, **QUIET)
    assert made == [2, 1]


def test_training_mode_is_set_aside_and_restored(generator):
    config = prior_config()
    config = config.model_copy(update={"prior": config.prior.model_copy(update={"dropout": 0.5})})
    pipeline = pipeline_of(config, generator)
    pipeline.prior.train()
    codes = pipeline.sample_codes(pipeline.request(2), **QUIET)
    assert pipeline.prior.training
    assert torch.equal(codes, pipeline.sample_codes(pipeline.request(2), **QUIET))


@pytest.mark.parametrize("size", [None, (6, 8), [6, 8]])
def test_trained_size_may_be_named(pipeline, size):
    assert pipeline.sample(1, size=size, **QUIET)[0].size == (8, 6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "number of images must be at least 1, got 0"),
        ({"batch_size": 0}, "batch size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"temperature": -0.5}, "temperature: must be at least 0, got -0.5"),
        ({"top_k": -1}, "top_k: must be at least 0, got -1"),
        ({"top_p": 0}, "top_p: must be above 0, got 0"),
        ({"guidance": -1}, "guidance.*must be at least 0, got -1"),
        ({"size": (8, 6)}, r"size 8x6 \(height x width\) is below the window.*6x8"),
        ({"size": 9}, "size 9x9.*multiples of 2"),
        ({"condition": "dogs"}, "unknown class 'dogs'; did you mean 'dog'"),
        ({"condition": [0, 3]}, "class 3 does not exist"),
    ],
)
def test_wrong_input_is_one_clear_line(pipeline, wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        pipeline.sample(**({"n": 1} | QUIET | wrong))
    assert "\n" not in str(caught.value)


def test_guidance_without_a_condition_is_refused(unconditional):
    with pytest.raises(InputError, match=r"guidance 2\.0 needs a prior with a condition"):
        unconditional.sample(1, guidance=2.0, **QUIET)


def test_progress_bar_counts_tokens_over_batches(pipeline, capsys):
    pipeline.sample_codes(pipeline.request(3), batch_size=2)
    assert f"{2 * HEIGHT * WIDTH}/{2 * HEIGHT * WIDTH}" in capsys.readouterr().err


def test_progress_bar_can_be_switched_off(pipeline, capsys):
    pipeline.sample_codes(pipeline.request(1), progress=False)
    assert capsys.readouterr().err == ""


def test_saved_pipeline_makes_the_same_pictures(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "model")
    loaded = Pipeline.from_pretrained(tmp_path / "model")
    assert loaded.config == pipeline.config
    before, after = pipeline.sample(2, **QUIET), loaded.sample(2, **QUIET)
    assert [p.tobytes() for p in before] == [p.tobytes() for p in after]


@pytest.mark.parametrize("name", ["run", "run/checkpoints/best"])
def test_pipeline_of_a_run_takes_the_runs_tokenizer(pipeline, tmp_path, monkeypatch, name):
    best = tmp_path / "run" / "checkpoints" / "best"
    best.mkdir(parents=True)
    write_model_files(best, "prior", pipeline.config, pipeline.prior.state_dict())
    pipeline.tokenizer.save_pretrained(tmp_path / "run" / "tokenizer")
    monkeypatch.chdir(tmp_path)
    loaded = Pipeline.from_pretrained(name)
    codes = loaded.sample_codes(loaded.request(1), **QUIET)
    assert torch.equal(codes, pipeline.sample_codes(pipeline.request(1), **QUIET))


def test_missing_tokenizer_is_an_error(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "tokenizer")
    with pytest.raises(InputError, match="has no folder 'tokenizer'"):
        Pipeline.from_pretrained(tmp_path / "model")


def test_folder_of_a_vqgan_is_no_pipeline(pipeline, tmp_path):
    pipeline.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds a vqgan, but a prior is needed"):
        Pipeline.from_pretrained(tmp_path)


def test_weights_cut_short_are_an_error(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged or cut short"):
        Pipeline.from_pretrained(tmp_path / "model")


def test_tokenizer_with_another_codebook_is_refused(pipeline):
    other = VQGAN(VQGANConfig(codebook_size=CODES + 1, channel_multipliers=(1, 1)))
    with pytest.raises(InputError, match="trained on 16 codes, but the tokenizer has 17"):
        Pipeline(other, pipeline.prior, pipeline.config)


def test_condition_tokenizer_with_another_codebook_is_refused(pipeline):
    condition = LowResolutionConfig(
        content=RGBContent(), codebook_size=6, grid_height=HEIGHT, grid_width=WIDTH
    )
    config = PriorModelConfig(
        prior=GPT2Config(layers=1, width=8, dropout=0),
        vocab_size=CODES + 7,
        max_length=2 * HEIGHT * WIDTH,
        codebook_size=CODES,
        conditioners=(condition,),
        grid_height=HEIGHT,
        grid_width=WIDTH,
    )
    prior = GPT(config.prior, config.sizes)
    with pytest.raises(InputError, match=r"low_resolution was trained on 6 codes, .* has 16"):
        Pipeline(pipeline.tokenizer, prior, config, {"low_resolution": pipeline.tokenizer})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ordering": "row_majr"}, "did you mean 'row_major'"),
        ({"ordering": "z_curve", "grid_height": 3}, "z_curve is not defined on a grid of 3 x"),
        ({"grid_height": 4}, "max_length must be at least 16"),
        ({"vocab_size": 4}, "vocab_size must be at least 20: 16 codes and 4 values"),
    ],
)
def test_config_that_does_not_fit_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        prior_config(**changes)


@pytest.mark.parametrize("conditioner", [CLASSES, UnconditionalConfig()])
def test_config_survives_json(conditioner):
    config = prior_config(conditioner)
    assert PriorModelConfig.model_validate_json(config.model_dump_json()) == config


def test_config_file_has_the_sizes_in_prior():
    stored = prior_config().model_dump(mode="json")
    assert list(stored["prior"].items())[:3] == [
        ("kind", "gpt2"),
        ("vocab_size", CODES + 4),
        ("max_length", HEIGHT * WIDTH),
    ]
    assert "vocab_size" not in stored


FORMER_PIXELSNAIL = {
    "kind": "pixelsnail",
    "vocab_size": CODES + 4,
    "max_length": HEIGHT * WIDTH,
    "cond_length": 1,
    "grid_height": HEIGHT,
    "grid_width": WIDTH,
    "blocks": 1,
    "cond_layers": 1,
    "dropout": 0.0,
}


def test_config_file_of_a_former_pixelsnail_is_read():
    stored = prior_config().model_dump(mode="json") | {"prior": FORMER_PIXELSNAIL}
    config = PriorModelConfig.model_validate(stored)
    assert config.prior == PixelSNAILConfig(blocks=1, dropout=0.0)
    assert config.sizes == GridSizes(CODES + 4, HEIGHT * WIDTH, 1, HEIGHT, WIDTH)


@pytest.mark.parametrize(("name", "value"), [("grid_width", WIDTH + 1), ("cond_layers", 2)])
def test_config_file_of_a_former_pixelsnail_that_contradicts_itself_is_refused(name, value):
    former = FORMER_PIXELSNAIL | {name: value}
    with pytest.raises(ValidationError, match=f"prior.{name} must be .*, got {value}"):
        PriorModelConfig.model_validate(prior_config().model_dump() | {"prior": former})


def test_trained_prior_has_a_number_for_dropout():
    with pytest.raises(ValidationError, match="dropout of a trained prior must be a number"):
        prior_config(prior=GPT2Config())
