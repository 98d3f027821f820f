"""Values that leave most of their range unused, through the commands."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smalti.content import DepthContent
from smalti.tokenizer.load import load_tokenizer


@pytest.fixture
def depths(here) -> Path:
    """Photographs with depth maps in millimetres, up to 9 m."""
    for part in ("images", "depths"):
        (here / "scenes" / part).mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (24, 20), (255, 9 * number, 0)).save(f"scenes/images/{number}.png")
        slope = np.linspace(0, 9000, 20 * 24).reshape(20, 24).astype(np.uint16)
        Image.fromarray(slope).save(f"scenes/depths/{number}.png")
    return here / "scenes"


ADVICE = "use only 13.7% of the range; say which value is its upper end, as "
OPTION = "--vqgan.content.white_level 16383"


def test_inspect_says_which_values_there_are_and_what_to_do(succeed, depths):
    text = succeed("inspect", depths).out
    assert "values:       0 to 255 of 0 to 255 (4 files looked at)\n" in text
    assert "depths:       values 0 to 9000 of 0 to 65535 (4 files looked at)\n" in text
    assert ADVICE + OPTION in text
    assert text.count("warning") == 1


def test_a_run_says_it_and_a_white_level_goes_with_the_model(succeed, world, depths):
    command = ["train", "vqgan", "--data", depths, "--vqgan.content.kind=depth", "--out=run"]
    options = [*world.tiny, "--training.total_steps=1", "--loss.adversary.kind=none"]
    result = succeed(*command, *options)
    assert "values: 0 to 9000 of 0 to 65535 (4 files looked at)\n" in result.err
    assert ADVICE + OPTION in result.err
    command[-1] = "--out=levelled"
    result = succeed(*command, *options, *OPTION.split())
    assert "values: 0 to 9000 of 0 to 65535" in result.err
    assert "warning" not in result.err
    assert load_tokenizer("levelled").content == DepthContent(white_level=16383)
    succeed("encode", "levelled", depths / "depths/0.png")
    succeed("decode", "levelled", "codes.safetensors", "--out", "decoded")
    assert np.asarray(Image.open("decoded/0.png")).max() <= 16383


def test_inspect_says_the_values_of_label_maps(succeed, here):
    for part in ("images", "segmentations"):
        (here / "scenes" / part).mkdir(parents=True)
        Image.new("L", (24, 20), 3).save(here / "scenes" / part / "0.png")
    text = succeed("inspect", "scenes").out
    assert "segmentations: values 3 to 3 of 0 to 255 (1 file looked at)\n" in text
