"""`smalti annotate`: makes depth maps, label maps and poses of photographs."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path
from smalti.cli.places import output_folder
from smalti.errors import InputError
from smalti.words import all_are, counted

if TYPE_CHECKING:
    from smalti.annotate.base import Annotator
    from smalti.annotate.place import Place
    from smalti.annotate.work import Counts

KINDS = ("depth", "segmentation", "keypoints")
SHEET_FILE = "annotated.pdf"  # a picture would count as one of the data set
MOST_EXAMPLES = 6
EXAMPLE_PX = 256


def run(arguments: Sequence[str]) -> None:
    """Make the files of each kind, a sheet of examples, and say what can be trained with them."""
    options = parser().read(arguments)
    kinds = [kind for kind in KINDS if getattr(options, kind)]
    models = _models(options.model, options.detector, kinds)
    if options.out is not None:
        output_folder(options.out)

    from tqdm import tqdm

    from smalti.annotate.networks import check_transformers
    from smalti.annotate.place import check_place, open_photographs, place_of
    from smalti.annotate.segmentation import SegmentationAnnotator
    from smalti.annotate.work import annotate, examples, write_record
    from smalti.compute import choose_compute
    from smalti.files import atomic_file
    from smalti.sampling.sheet import contact_sheet

    source = open_photographs(options.photographs)
    place = place_of(source, options.out)
    for kind in kinds:
        check_place(source, place, _annotator(kind).part, _annotator(kind).suffix)
    output_folder(str(place.data))
    check_transformers()
    compute = choose_compute(options.device, "float32")
    annotators = [_annotator(kind).load(models, compute.device) for kind in kinds]
    print(f"device: {compute}")
    place.make()
    for annotator in annotators:
        for network in annotator.networks:
            print(f"{annotator.kind}: {network}")
        with tqdm(total=len(source), unit="photograph", disable=None) as bar:
            counts = annotate(source, place, annotator, options.batch_size, bar.update)
        print(f"{annotator.kind}: {_in_words(counts)}")
        if counts.broken == len(source):
            raise InputError(f"{all_are(len(source), 'photograph')} broken")
        if isinstance(annotator, SegmentationAnnotator) and not counts.foreign:
            annotator.write_names(place.data)
    write_record(place, annotators)
    pictures = list(examples(source, place, annotators, MOST_EXAMPLES, EXAMPLE_PX))
    if pictures:
        with atomic_file(place.data / SHEET_FILE) as temporary:
            contact_sheet(pictures, columns=1 + len(annotators)).save(temporary)
        print(f"examples: {place.data / SHEET_FILE}")
    _print_pairs(place, annotators)
    _print_next(place.data, annotators)


def _models(model: str | None, detector: str | None, kinds: Sequence[str]) -> dict[str, str]:
    """The networks that the user names.

    Raises:
        InputError: no kind is asked for, or a network has no kind that it is for.
    """
    if not kinds:
        raise InputError("say what to make: --depth, --segmentation, --keypoints, or several")
    if model is not None and len(kinds) > 1:
        raise InputError(
            f"--model {model} is the model of one kind; run the command once for each of "
            f"{', '.join(f'--{kind}' for kind in kinds)}"
        )
    if detector is not None and "keypoints" not in kinds:
        raise InputError(f"--detector {detector} finds persons for --keypoints; leave it out")
    named = {"model": model, "detector": detector}
    return {role: name for role, name in named.items() if name is not None}


def _annotator(kind: str) -> "type[Annotator]":
    from smalti.annotate.depth import DepthAnnotator
    from smalti.annotate.keypoints import KeypointsAnnotator
    from smalti.annotate.segmentation import SegmentationAnnotator

    classes: tuple[type[Annotator], ...] = (
        DepthAnnotator,
        SegmentationAnnotator,
        KeypointsAnnotator,
    )
    return dict(zip(KINDS, classes, strict=True))[kind]


def _in_words(counts: "Counts") -> str:
    words = [f"{counted(counts.made, 'file')} made", f"{counts.kept:,} kept"]
    if counts.empty:
        words.append(f"nothing found in {counted(counts.empty, 'photograph')}")
    if counts.foreign:
        words.append(f"{counts.foreign:,} of another origin left as they were")
    if counts.broken:
        words.append(f"{counted(counts.broken, 'photograph')} broken")
    return ", ".join(words)


def _print_pairs(place: "Place", annotators: "Sequence[Annotator]") -> None:
    """Print how many photographs have their file, as the training pairs them."""
    from smalti.conditions.opening import pairings_of
    from smalti.data.sources import open_source

    pairings = pairings_of(open_source(str(place.data), False))
    for annotator in annotators:
        print(f"{annotator.kind}: {pairings[annotator.kind]} in {place.data}")


def _print_next(data: Path, annotators: "Sequence[Annotator]") -> None:
    """Print the commands that train with the files."""
    begin = f"--data {shlex.quote(str(data))}"
    print(f"next: smalti train vqgan {begin} --out runs/images")
    conditions = []
    for annotator in annotators:
        training = annotator.training(f"runs/{annotator.kind}")
        conditions.append(annotator.kind + (f"=runs/{annotator.kind}" if training else ""))
        if training:
            print(f"next: smalti train vqgan {begin} {training}")
    told = " ".join(f"--condition {condition}" for condition in conditions)
    print(f"next: smalti train prior {begin} --vqgan runs/images {told} --out runs/prior")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "annotate",
        "Make depth maps, label maps and poses of photographs with models of the Hugging Face hub, "
        "in the form that the conditions of a prior read. The same command goes on where it was "
        "stopped; files that it has not made stay as they are.",
    )
    parser.add_argument(
        "photographs",
        type=expanded_path,
        help="folder of photographs, or of a data set with a folder images/",
    )
    parser.add_argument("--depth", action="store_true", help="make depth maps, in depths/")
    parser.add_argument(
        "--segmentation",
        action="store_true",
        help="make label maps, in segmentations/, with the names of their classes in classes.txt",
    )
    parser.add_argument(
        "--keypoints",
        action="store_true",
        help="make poses of the largest person of each photograph, in keypoints/",
    )
    parser.add_argument(
        "--model",
        type=expanded_path,
        metavar="NAME_OR_FOLDER",
        help="model of transformers for the one kind that is made: a folder or a hub id (default: "
        "a small one of the hub, which is printed)",
    )
    parser.add_argument(
        "--detector",
        type=expanded_path,
        metavar="NAME_OR_FOLDER",
        help="model that finds the persons for --keypoints (default: a small one of the hub)",
    )
    parser.add_out(
        None,
        "folder of a data set to make, with a link images/ to the photographs (default: beside the "
        "photographs if their folder is called images, else PHOTOGRAPHS-annotated)",
    )
    parser.add_batch_size(4, "photographs of one size that are computed at a time")
    parser.add_device()
    return parser
