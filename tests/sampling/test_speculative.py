"""Speculative sampling: the distribution where every sequence can be counted, and the codes."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from helpers.canvases import CODES, CPU, KINDS, H, W, blank, conditions_of, model_of, prior_of
from smalti.config import InputError
from smalti.prior.gpt.config import GPTConfig
from smalti.prior.local.config import LocalConfig
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling import speculative
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import RacingChoice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.guidance import Guidance
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import CellCount, sample_canvas
from smalti.sampling.speculative import SpeculativeLoop, check_speculative, count_right
from smalti.sampling.token_loop import TokenLoop

# The distribution of all sequences of four codes out of three.

K, LENGTH, IMAGES = 3, 4, 3000
COND, NULL = K, K + 1
SEQUENCES = torch.tensor([*itertools.product(range(K), repeat=LENGTH)])  # (81, 4)
CONFIGS = {
    "plain": SamplingConfig(top_k=0),
    "hot": SamplingConfig(top_k=0, temperature=1.7),
    "top-k": SamplingConfig(top_k=2, temperature=0.8),
    "top-p": SamplingConfig(top_k=0, top_p=0.85),
    "guided": SamplingConfig(top_k=0, guidance=2, guidance_schedule="cosine"),
}


class TableCache:
    """The tokens that a `TablePrior` has read."""

    reads_together = True

    def __init__(self) -> None:
        self.tokens = torch.zeros(0, 0, dtype=torch.int64)

    @property
    def length(self) -> int:
        return self.tokens.shape[1]

    def reset(self) -> None:
        self.tokens = self.tokens[:, :0]

    def rewind(self, length: int) -> None:
        self.tokens = self.tokens[:, :length]


class TablePrior:
    """A prior with random logits for every beginning of a sequence, and for two conditions."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.table = 1.5 * torch.randn(2, (K + 1) ** LENGTH, K, generator=generator)

    def new_cache(self, _batch_size: int) -> TableCache:
        return TableCache()

    def logits(
        self, tokens: Tensor, cache: TableCache | None = None, last_only: bool = False
    ) -> Tensor:
        cache = cache or TableCache()
        new = 1 if last_only else tokens.shape[1]
        cache.tokens = torch.cat([cache.tokens, tokens], 1) if cache.length else tokens
        condition, codes = cache.tokens[:, :1] - K, cache.tokens[:, 1:]
        numbers = ((codes + 1) * (K + 1) ** torch.arange(codes.shape[1])).cumsum(1)
        numbers = torch.cat([torch.zeros_like(condition), numbers], 1)
        return self.table[condition, numbers][:, -new:]


PRIOR = TablePrior(0)


def chances_of_sequences(config: SamplingConfig) -> Tensor:
    """Probability (81,) of each sequence, position by position, as the paper's formulas say."""
    guidance = Guidance(config.guidance, config.guidance_schedule)
    by_condition = [
        PRIOR.logits(torch.cat([torch.full((len(SEQUENCES), 1), condition), SEQUENCES[:, :-1]], 1))
        for condition in (COND, NULL)
    ]
    chances = torch.ones(len(SEQUENCES), dtype=torch.float64)
    for step in range(LENGTH):
        with_it, without = (logits[:, step] for logits in by_condition)
        (scale,) = guidance.scales_at(step / (LENGTH - 1))
        rows = probabilities(without + scale * (with_it - without), config)
        chances *= rows.gather(1, SEQUENCES[:, step : step + 1]).squeeze(1)
    return chances


def draw_sequences(
    config: SamplingConfig,
    together: int,
    images: Sequence[int],
    kind: type[SpeculativeLoop] = SpeculativeLoop,
) -> tuple[Tensor, int]:
    """Sequences (B, 4) of some images, drawn in one batch, and the number of passes."""
    config = config.model_copy(update={"speculative": together})
    guidance = Guidance(config.guidance, config.guidance_schedule)
    race = RacingChoice(1, images, K, CPU)
    loop = kind(PRIOR, guidance, config, race, K, LENGTH, lambda _step, drawn: drawn)
    loop.placed = tokens = []

    def place(_step: int, drawn: Tensor) -> Tensor:
        tokens.append(drawn)
        return drawn

    first = [COND] if len(guidance.prefixes) == 1 else [COND, NULL]
    context = torch.tensor(first).repeat_interleave(len(images))[:, None]
    assert [*loop.run(context, range(LENGTH), place)] == [*range(LENGTH)]
    return torch.stack(tokens, dim=1), loop.passes


def p_value(sequences: Tensor, config: SamplingConfig) -> float:
    """How likely counts as far from the exact ones are by chance (chi-square; rare ones pooled)."""
    numbers = (sequences * K ** torch.arange(LENGTH - 1, -1, -1)).sum(1)
    counts = numbers.bincount(minlength=len(SEQUENCES)).double()
    expected = chances_of_sequences(config) * len(sequences)
    is_rare = expected < 5
    counts = torch.cat([counts[~is_rare], counts[is_rare].sum()[None]])
    expected = torch.cat([expected[~is_rare], expected[is_rare].sum()[None]])
    if expected[-1] == 0:
        if counts[-1] > 0:
            return 0.0
        counts, expected = counts[:-1], expected[:-1]
    return float(chisquare(counts, expected, sum_check=False).pvalue)


class SmallPriorLoop(SpeculativeLoop):
    """Drafts come from another prior, which draws them with the same random numbers."""

    small = TablePrior(5)
    placed: list[Tensor]

    def _drafts(self, drawn: Tensor, chances: Tensor, step: int, wanted: int) -> Tensor:
        first = torch.full((len(chances), 1), COND)
        tokens = torch.cat([first, torch.stack(self.placed, dim=1)], 1)
        for at in range(step, step + wanted):
            logits = self.small.logits(tokens, last_only=True)[:, -1]
            code = self.choose(probabilities(logits, self.config), at)
            tokens = torch.cat([tokens, code[:, None]], 1)
        return tokens[:, tokens.shape[1] - wanted :]


class UnluckyLoop(SpeculativeLoop):
    """All drafts are the code 0, whatever is likely."""

    def _drafts(self, drawn: Tensor, chances: Tensor, step: int, wanted: int) -> Tensor:
        return torch.zeros(len(chances), wanted, dtype=torch.int64)


LOOPS = [SpeculativeLoop, SmallPriorLoop, UnluckyLoop]


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_sequences_have_the_priors_distribution(config, kind):
    drawn, _ = draw_sequences(config, 3, range(IMAGES), kind)
    assert p_value(drawn, config) > 0.001


def test_image_by_image_sequences_have_the_priors_distribution():
    results = [draw_sequences(CONFIGS["plain"], 4, [image]) for image in range(600)]
    assert sum(passes for _, passes in results) < 0.8 * (LENGTH - 1) * len(results)
    assert p_value(torch.cat([drawn for drawn, _ in results]), CONFIGS["plain"]) > 0.001


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_drafts_that_are_kept_unchecked_would_have_another_distribution(config, kind, monkeypatch):
    monkeypatch.setattr(speculative, "count_right", lambda _drafts, drawn: drawn.shape[1])
    drawn, _ = draw_sequences(config, 3, range(IMAGES), kind)
    assert p_value(drawn, config) < 1e-9


def test_codes_are_right_up_to_the_first_wrong_draft_of_any_row():
    drafts = torch.tensor([[4, 5, 6], [1, 2, 3]])
    assert count_right(drafts, torch.tensor([[4, 5, 6, 7], [1, 2, 3, 4]])) == 4
    assert count_right(drafts, torch.tensor([[4, 5, 6, 7], [1, 0, 3, 4]])) == 2
    assert count_right(drafts, torch.tensor([[0, 5, 6, 7], [1, 2, 3, 4]])) == 1
    assert count_right(drafts[:, :0], torch.tensor([[7], [4]])) == 1


# The codes of a transformer: those of the plain loop with the same race.


def paint(
    config: SamplingConfig,
    canvas: Canvas,
    images: Sequence[int] | None = None,
    kind: str = "class",
    model: PriorModelConfig | None = None,
    **options: Any,
) -> Tensor:
    """Codes of a canvas; image i has the seed and the condition i."""
    model = model or model_of(*KINDS[kind])
    n, height, width = canvas.codes.shape
    images = images or range(n)
    conditions = conditions_of(model, max(images) + 1, height, width)
    return sample_canvas(
        prior_of(model),
        model,
        model.build_conditioning(),
        {name: codes[list(images)] for name, codes in conditions.items()},
        canvas,
        config,
        RacingChoice(0, images, CODES, CPU),
        **options,
    )


def speculating(config: SamplingConfig, together: int) -> SamplingConfig:
    return config.model_copy(update={"speculative": together})


DRAWINGS = [
    SamplingConfig(top_k=5, temperature=0.5),
    SamplingConfig(temperature=0),
    SamplingConfig(top_k=0, guidance=2, guidance_schedule="cosine"),
]


@pytest.mark.parametrize("together", [2, 3, 7, 50])
@pytest.mark.parametrize("config", DRAWINGS, ids=["filtered", "greedy", "guided"])
def test_codes_do_not_depend_on_the_number_of_codes_a_pass(config, together):
    plain = paint(config, blank(2, H, W))
    assert torch.equal(paint(speculating(config, together), blank(2, H, W)), plain)


@pytest.mark.parametrize("options", [{}, {"class_by": "norm"}, {"kv_heads": 1}], ids=str)
def test_blocks_of_today_have_the_codes_of_the_plain_loop(options):
    shape = GPTConfig(layers=2, heads=2, width=16, dropout=0, **options)
    model = model_of(*KINDS["class"], prior=shape, max_length=H * W)
    config = SamplingConfig(top_k=0, temperature=0.5, guidance=2)
    plain = paint(config, blank(2, H, W), model=model)
    assert torch.equal(paint(speculating(config, 4), blank(2, H, W), model=model), plain)


def test_image_does_not_depend_on_its_batch():
    config = speculating(SamplingConfig(top_k=0, temperature=0.5), 4)
    together = paint(config, blank(4, H, W))
    apart = [paint(config, blank(1, H, W), [image]) for image in range(4)]
    assert torch.equal(together, torch.cat(apart))


@pytest.mark.parametrize("kind", ["none", "all"])
@pytest.mark.parametrize(("size", "stride"), [((4, 9), 2), ((7, 5), 1), ((6, 11), 3)])
def test_larger_images_have_the_codes_of_the_plain_loop(kind, size, stride):
    config = SamplingConfig(top_k=0, temperature=0.5, stride=stride)
    plain = paint(config, blank(2, *size), kind=kind)
    assert torch.equal(paint(speculating(config, 4), blank(2, *size), kind=kind), plain)


def known_canvas() -> Canvas:
    """Two canvases with a known half each: the odd and the even columns."""
    generator = torch.Generator().manual_seed(2)
    columns = torch.arange(W)
    known = torch.stack([(columns % 2 == one).expand(H, W) for one in range(2)])
    return Canvas(torch.randint(CODES, (2, H, W), generator=generator), known)


def test_known_codes_stay_and_are_context():
    config = SamplingConfig(top_k=0, temperature=0.5)
    before = known_canvas()
    drawn = paint(speculating(config, 5), known_canvas())
    assert torch.equal(drawn, paint(config, known_canvas()))
    assert torch.equal(drawn[before.known], before.codes[before.known])


def test_known_codes_are_read_together(monkeypatch):
    loops: list[SpeculativeLoop] = []
    begin = TokenLoop._begin
    monkeypatch.setattr(
        TokenLoop, "_begin", lambda self, *a: (loops.append(self), begin(self, *a))[1]
    )
    canvas = blank(1, H, W)
    canvas.codes.fill_(3)
    canvas.known.fill_(True)
    canvas.known[:, 0, 0] = canvas.known[:, -1, -1] = False
    paint(speculating(SamplingConfig(), 8), canvas)
    (loop,) = loops
    assert loop.passes == 3  # 19 codes after the first, 8 in a pass


class Stopped(Exception):
    pass


def test_stopped_work_goes_on_to_the_same_codes():
    config = speculating(SamplingConfig(top_k=0, temperature=0.5), 4)

    def stop(done: int) -> None:
        if done == 7:
            raise Stopped

    canvas, count = blank(2, H, W), CellCount(0, stop)
    with pytest.raises(Stopped):
        paint(config, canvas, count=count)
    resumed: list[int] = []
    drawn = paint(config, canvas, count=CellCount(count.done, resumed.append))
    assert torch.equal(drawn, paint(config, blank(2, H, W)))
    assert resumed == [*range(8, H * W + 1)]


def test_codes_from_before_an_interruption_are_context():
    config = SamplingConfig(top_k=0, temperature=0.5)

    def begun() -> Canvas:
        canvas = blank(2, H, W)
        canvas.codes.view(2, -1)[:, :7] = torch.arange(14).view(2, 7) % CODES
        return canvas

    plain = paint(config, begun(), count=CellCount(7))
    assert torch.equal(paint(speculating(config, 4), begun(), count=CellCount(7)), plain)


def test_broken_weights_give_one_clear_error():
    model = model_of(*KINDS["none"])
    prior = prior_of(model)
    with torch.no_grad():
        prior.blocks[1].mlp.expand.bias[3] = float("nan")
    race, config = RacingChoice(0, [0], CODES, CPU), SamplingConfig(speculative=4)
    conditioning = model.build_conditioning()
    with pytest.raises(InputError, match="logits are not finite numbers"):
        sample_canvas(
            prior, model, conditioning, conditions_of(model, 1, H, W), blank(1, H, W), config, race
        )


ONE_BY_ONE = {
    "PixelSNAIL": PixelSNAILConfig(width=8, heads=2, blocks=1, dropout=0),
    "LocalGPT": LocalConfig(width=16, heads=2, layers=1, dropout=0),
}


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_prior_that_cannot_take_codes_back_is_refused(name):
    prior = prior_of(model_of(*KINDS["none"], prior=ONE_BY_ONE[name], max_length=H * W))
    with pytest.raises(InputError, match=rf"{name}.*leave speculative at 1"):
        check_speculative(prior)


def test_prior_that_can_take_codes_back_is_not_refused():
    check_speculative(prior_of(model_of(*KINDS["none"])))
