"""What `smalti evaluate PRIOR` works with: the prior, the images and the extractor."""

import argparse
from typing import TYPE_CHECKING

from smalti.words import counted

if TYPE_CHECKING:
    from smalti.runs.prior_evaluation import PriorEvaluation
    from smalti.runs.prior_images import PriorImages


def open_prior(options: argparse.Namespace) -> "tuple[PriorEvaluation, list[str]]":
    """The prior, the images and the extractor; and a warning of training images, if any.

    Raises:
        InputError: one of them is wrong, or an option does not fit to them.
    """
    from smalti.cli.evaluate_tokenizer import mixed
    from smalti.cli.sample import sampling_options
    from smalti.compute import choose_compute
    from smalti.data.summary import check_sizes
    from smalti.evaluation.extractors import load_extractor
    from smalti.runs.prior_evaluation import PriorEvaluation
    from smalti.runs.prior_images import PriorImages, transform_of_run
    from smalti.runs.training_images import find_training_images
    from smalti.sampling.pipeline import Pipeline

    config = sampling_options(options)
    pipeline = Pipeline.from_pretrained(options.model)
    transform = transform_of_run(options.model, getattr(options, "small", None))
    images = PriorImages(pipeline, options.data, transform, getattr(options, "size", None))
    _leave_out_training_images(options, images)
    if "images" in options:
        images.choose(options.images)
    known = find_training_images(options.model)
    seen = None if known is None else int(known.among(images.dataset).sum())
    check_sizes(images.dataset)
    compute = choose_compute(options.device, "float32")
    pipeline.to(compute.device)
    extractor = None
    if pipeline.tokenizer.content.kind == "rgb":
        extractor = load_extractor(options.extractor, options.extractor_weights, compute.device)
    else:
        _refuse_samples(options, pipeline.tokenizer.content.kind)
    evaluation = PriorEvaluation(
        pipeline=pipeline,
        images=images,
        extractor=extractor,
        config=config,
        seed=options.seed,
        batch_size=options.batch_size,
        is_reference="reference" not in options,
    )
    pipeline.check_sampling(config, evaluation.cells)
    height, width = images.size_px
    print(f"device: {compute}; {counted(len(images), 'image')}, crops of {height}x{width} pixels")
    return evaluation, mixed(len(images), seen)


def _refuse_samples(options: argparse.Namespace, kind: str) -> None:
    """Refuse what compares samples, of a prior whose samples are no photographs.

    Raises:
        InputError: something of it is asked for.
    """
    from smalti.config import InputError

    for name in ("reference", "write_reference", "join", "memorisation", "part"):
        if getattr(options, name, None):
            raise InputError(
                f"--{name.replace('_', '-')} compares photographs, but this prior draws {kind}; "
                "its NLL alone can be measured"
            )


def _leave_out_training_images(options: argparse.Namespace, images: "PriorImages") -> None:
    """Keep the images that the prior was not trained on, where that is asked for.

    Raises:
        InputError: it is not known which they are, or there are none.
    """
    from smalti.config import InputError
    from smalti.runs.training_images import find_training_images

    if not options.held_out:
        return
    known = find_training_images(options.model)
    if known is None:
        raise InputError(f"{options.model} is no run: only a run held images out")
    seen = known.among(images.dataset)
    if seen.all():
        raise InputError(f"{options.model} holds nothing out of this data; leave out --held-out")
    images.keep((~seen).nonzero()[0].tolist())
