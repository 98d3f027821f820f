"""Small pipelines that know two classes, as tests of their codes need them."""

from smalti.conditions import ConditionConfig
from smalti.conditions.class_label import ClassLabelConfig
from smalti.prior.build import build_prior
from smalti.prior.config import PriorConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

K, H, W = 8, 3, 4
CLASSES = ClassLabelConfig(class_names=("cat", "dog"))


def pipeline_of(prior: PriorConfig, conditioner: ConditionConfig = CLASSES) -> Pipeline:
    """A pipeline with random weights, for codes (n, H, W) in [0, K), in eval mode."""
    config = PriorModelConfig(
        prior=prior,
        conditioners=(conditioner,),
        codebook_size=K,
        vocab_size=K + 3,
        max_length=H * W,
        grid_height=H,
        grid_width=W,
        condition_drop=0.1,
    )
    vqgan = VQGAN(
        VQGANConfig(channels=8, norm_groups=2, codebook_size=K, channel_multipliers=(1, 1))
    )
    return Pipeline(vqgan.eval(), build_prior(config.prior, config.sizes).eval(), config)
