"""What the server answers when pictures are made, completed and scored with a prior."""

import base64
import io
import math
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.studio import events, failure, make_prior, picture, result
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.keypoints import KeypointsConfig
from smalti.conditions.low_resolution import LowResolutionConfig
from smalti.conditions.maps import DepthConfig, EdgesConfig, SegmentationConfig
from smalti.content import DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.content_images import label_colours
from smalti.prior.local.config import LocalConfig
from smalti.ranges import from_pil
from smalti.sampling.completion import Margins, complete
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.scoring import score_codes
from smalti.studio import prior as priors
from smalti.studio.condition_files import decoded

SPATIAL = {"codebook_size": 16, "grid_height": 4, "grid_width": 4}
SEGMENTATION = SegmentationConfig(content=LabelsContent(classes=3), **SPATIAL)
PICTURES = {
    "depth": DepthConfig(content=DepthContent(), **SPATIAL),
    "edges": EdgesConfig(content=EdgesContent(), **SPATIAL),
    "low_resolution": LowResolutionConfig(content=RGBContent(), factor=2, **SPATIAL),
}
PLAIN = {"n": 1, "seed": 0, "size": [8, 8], "conditions": {}}


def png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


PHOTO = Image.radial_gradient("L").convert("RGB").resize((8, 8))


def address(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


@pytest.fixture
def opened(runs, client):
    """Makes a prior with a condition, and returns how it is asked."""

    def opened(condition=None, **options):
        make_prior(runs / "prior", condition, **options)
        (entry,) = client.get("/api/library").json()["entries"]
        return lambda name, **options: client.post(f"/api/prior/{entry['id']}/{name}", **options)

    return opened


def pixels(address: str) -> bytes:
    return picture(address).convert("RGB").tobytes()


def test_what_is_made_is_what_the_command_makes(opened, runs):
    ask = opened(ClassLabelConfig(class_names=("cat", "dog")))
    options = {"temperature": 0.9, "top_k": 9, "guidance": 2, "stride": 2}
    sent = PLAIN | options | {"n": 3, "seed": 5, "size": [8, 12], "conditions": {"class": "dog"}}
    answer = ask("make", json=sent)
    made = result(answer)
    expected = Pipeline.from_pretrained(runs / "prior").sample(
        3, 5, "dog", size=(8, 12), progress=False, **options
    )
    assert [pixels(one) for one in made["images"]] == [one.tobytes() for one in expected]
    told = [
        cell for event, data in events(answer.text) if event == "cells" for cell in data["cells"]
    ]
    assert sorted(cell[:3] for cell in told) == [
        [image, row, column] for image in range(3) for row in range(4) for column in range(6)
    ]


def test_what_is_made_is_decoded_together_as_by_the_command(opened, monkeypatch):
    """One by one, pictures would differ from the command's by rounding."""
    asked = []

    def pictures(pipeline, codes):
        asked.append(len(codes))
        return [Image.new("RGB", (8, 8), "red")] * len(codes)

    monkeypatch.setattr(Pipeline, "pictures", pictures)
    made = result(opened()("make", json=PLAIN | {"n": 3}))
    assert asked == [3]
    assert made["images"] == made["files"]
    assert {pixels(one) for one in made["files"]} == {
        pixels(address(Image.new("RGB", (8, 8), "red")))
    }


def test_a_local_prior_has_no_stride_and_grows(opened):
    ask = opened(shape=LocalConfig(layers=1, heads=1, width=16, dropout=0))
    facts = result(ask("facts"))
    assert (facts["most_stride"], facts["can_grow"]) == (1, True)
    (made,) = result(ask("make", json=PLAIN | {"size": [8, 12]}))["images"]
    assert picture(made).size == (12, 8)


def test_the_swatches_of_all_codes_come_with_them_once(opened):
    told = [data for event, data in events(opened()("make", json=PLAIN).text) if event == "cells"]
    with_swatch: list[int] = []
    for data in told:
        with_swatch += data["codes"]
        assert {cell[3] for cell in data["cells"]} <= {*with_swatch}
        if data["swatches"]:
            assert picture(data["swatches"]).width == 16 * len(data["codes"])
    assert len(with_swatch) == len({*with_swatch})


def test_a_row_is_decoded_when_it_is_drawn(opened, monkeypatch):
    monkeypatch.setattr("smalti.studio.prior.DECODING_SHARE", 1)
    monkeypatch.setattr("smalti.sampling.pipeline.GROUP_SECONDS", 0)
    told = [data for event, data in events(opened()("make", json=PLAIN).text) if event == "rows"]
    assert [data["rows"] for data in told] == [1, 2, 3]
    assert [picture(data["images"][0]).size for data in told] == [(8, 2), (8, 4), (8, 6)]


def test_a_painted_map_is_the_condition_and_its_file(opened, runs, tmp_path):
    ask = opened(SEGMENTATION)
    labels = torch.arange(64).view(8, 8) % 3
    sent = base64.b64encode(labels.numpy().astype("<u2").tobytes()).decode()
    file = result(ask("labels", json={"size": [8, 8], "labels": sent}))["file"]
    assert picture(file).tobytes() == bytes(labels.flatten().tolist())
    picture(file).save(tmp_path / "map.png")
    made = result(ask("make", json=PLAIN | {"conditions": {"segmentation": file}}))
    (expected,) = Pipeline.from_pretrained(runs / "prior").sample(
        1, condition=str(tmp_path / "map.png"), progress=False
    )
    assert pixels(made["images"][0]) == expected.tobytes()
    read = result(ask("condition?kind=segmentation&height=8&width=8", content=png(picture(file))))
    assert read["labels"] == sent


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_of_any_size_becomes_a_condition(opened, kind):
    ask = opened(PICTURES[kind])
    photo = Image.linear_gradient("L").resize((50, 30))
    photo = photo if kind == "depth" else photo.convert("RGB")
    found = result(ask(f"condition?kind={kind}&height=8&width=12", content=png(photo)))
    assert picture(found["file"]).size == ((6, 4) if kind == "low_resolution" else (12, 8))
    sent = PLAIN | {"size": [8, 12], "conditions": {kind: found["file"]}}
    assert picture(result(ask("make", json=sent))["images"][0]).size == (12, 8)


def test_a_photograph_lies_within_the_margins_of_its_canvas(opened):
    ask = opened(PICTURES["low_resolution"])
    halves = Image.new("RGB", (16, 8), "red")
    halves.paste("blue", (8, 0, 16, 8))
    sent = "condition?kind=low_resolution&height=12&width=20&bottom=4&left=12"
    small = picture(result(ask(sent, content=png(halves)))["file"])
    assert small.size == (10, 6)
    red, blue = (255, 0, 0), (0, 0, 255)
    assert [small.getpixel((x, y)) for x in (0, 6, 9) for y in (0, 5)] == [red] * 4 + [blue] * 2


def test_margins_leave_room_for_the_photograph(opened):
    sent = "condition?kind=edges&height=8&width=8&left=4&right=4"
    assert "no room on 8x8 pixels" in failure(opened(PICTURES["edges"])(sent, content=png(PHOTO)))


def test_a_drawing_of_edges_stays_one(opened):
    drawing = Image.new("L", (8, 8))
    drawing.putpixel((3, 4), 255)
    ask = opened(PICTURES["edges"])
    found = result(ask("condition?kind=edges&height=8&width=8", content=png(drawing)))
    assert picture(found["file"]).tobytes() == drawing.tobytes()


def test_a_pose_is_drawn_and_stays_as_its_file_has_it(opened):
    ask = opened(KeypointsConfig(joints=("nose", "tail"), height_px=8, width_px=8, positions=4))
    file = b'{"keypoints": [5, 2, 2, 99, 1e300, 2]}'
    found = result(ask("condition?kind=keypoints&height=12&width=16", content=file))
    assert decoded(found["file"]) == file
    shown = picture(found["shown"])
    assert shown.size == (16, 12)
    nose = tuple(label_colours(2)[0].tolist())
    assert [at for at in ((5, 2), (12, 9)) if shown.getpixel(at) == nose] == [(5, 2)]
    assert found["note"].startswith(
        "1 of 2 joints of the pose lie outside of a picture of 12x16 pixels and count as absent"
    )
    sent = PLAIN | {"conditions": {"keypoints": found["file"]}}
    assert picture(result(ask("make", json=sent))["images"][0]).size == (8, 8)


def test_a_pose_outside_of_the_picture_is_said_to_be_there(opened):
    ask = opened(KeypointsConfig(joints=("nose",), height_px=8, width_px=8, positions=4))
    file = b'{"keypoints": [5, 9, 2]}'
    below = result(ask("condition?kind=keypoints&height=8&width=12", content=file))
    assert below["note"].startswith("1 of 1 joint of the pose lie outside of a picture of 8x12")
    assert "note" not in result(ask("condition?kind=keypoints&height=12&width=12", content=file))


def test_what_is_no_pose_is_said(opened):
    ask = opened(KeypointsConfig(joints=("nose", "tail"), height_px=8, width_px=8, positions=4))
    address = "condition?kind=keypoints&height=8&width=8"
    assert "the pose: it is not JSON" in failure(ask(address, content=b"nose"))
    assert "has 1 joint; wanted are 2" in failure(ask(address, content=b'{"keypoints": [1, 2, 2]}'))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n": 5}, "n must be a whole number from 1 to 4"),
        ({"seed": -1}, "seed must be"),
        ({"seed": True}, "seed must be"),
        ({"size": [8]}, "two whole numbers"),
        ({"size": [6, 8]}, "below the window"),
        ({"size": [9, 8]}, "multiples of 2"),
        ({"size": [8000, 8000]}, "too many for the page"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": "all"}, "top_p"),
        ({"stride": 9}, "stride 9 is not possible"),
        ({"guidance": 2}, "guidance 2.0 needs"),
        ({"conditions": []}, "conditions must be an object"),
        ({"conditions": {"class": "cat"}}, "no condition 'class'"),
    ],
)
def test_what_cannot_be_made_is_said(opened, changes, words):
    assert words in failure(opened()("make", json=PLAIN | changes))


def test_what_is_no_condition_is_said(opened):
    ask = opened(SEGMENTATION)
    assert "base64" in failure(
        ask("make", json=PLAIN | {"conditions": {"segmentation": "data:,*"}})
    )
    assert "condition" in failure(
        ask("make", json=PLAIN | {"conditions": {"segmentation": "data:,AAAA"}})
    )
    assert "needs the condition" in failure(ask("make", json=PLAIN))
    assert "the picture" in failure(
        ask("condition?kind=segmentation&height=8&width=8", content=b"no picture")
    )
    assert "no files" in failure(ask("condition?kind=pose&height=8&width=8", content=b""))
    short = {"size": [8, 8], "labels": "AAAA"}
    assert "does not have 8x8 labels" in failure(ask("labels", json=short))
    wrong = base64.b64encode(b"\x09\x00" * 64).decode()
    assert "label 9 is no class" in failure(ask("labels", json=short | {"labels": wrong}))


def test_drawing_ends_when_it_is_given_up(runs, opened, worker, monkeypatch):
    told = threading.Event()
    cells: list[object] = []

    class Listener(priors._Show):
        def tell(self, event):
            super().tell(event)
            cells.append(event)
            self._job.cancelled.set()
            told.set()

    monkeypatch.setattr("smalti.sampling.pipeline.GROUP_SECONDS", 0)
    monkeypatch.setattr(priors, "_Show", Listener)
    answer = opened()("make", json=PLAIN)
    assert told.is_set()
    assert events(answer.text)[-1][0] == "cancelled"
    assert len(cells) == 1


def test_a_tokenizer_makes_nothing(run, client):
    (entry,) = client.get("/api/library").json()["entries"]
    answer = client.post(f"/api/prior/{entry['id']}/make", json=PLAIN)
    assert answer.status_code == 404
    assert "is no prior" in answer.json()["message"]


def test_a_photograph_is_made_ready(opened):
    photo = Image.new("RGB", (50, 31), "olive")
    found = result(opened()("photograph?shortest=13", content=png(photo)))
    assert (found["height"], found["width"]) == (12, 20)
    assert picture(found["file"]).size == (20, 12)


def test_a_photograph_is_made_ready_for_another_prior_too(opened):
    photo = Image.new("RGB", (50, 31), "olive")
    found = result(opened()("photograph?shortest=13&multiple=6", content=png(photo)))
    assert (found["height"], found["width"]) == (12, 18)


def test_a_completion_is_that_of_the_command(opened, runs):
    ask = opened()
    missing = [0] * 10 + [1] * 6
    sides = {"top": 0, "bottom": 2, "left": 0, "right": 4}
    sent = PLAIN | sides | {"file": address(PHOTO), "missing": missing, "n": 2, "seed": 3}
    answer = ask("complete", json=sent)
    made = result(answer)
    mask = torch.tensor(missing, dtype=torch.bool).view(4, 4)
    mask = mask.repeat_interleave(2, 0).repeat_interleave(2, 1)
    expected = complete(
        Pipeline.from_pretrained(runs / "prior"),
        PHOTO,
        mask,
        2,
        3,
        margins=Margins(bottom=2, right=4),
        progress=False,
    )
    assert [pixels(one) for one in made["images"]] == [one.tobytes() for one in expected]
    told = [
        cell for event, data in events(answer.text) if event == "cells" for cell in data["cells"]
    ]
    assert len(told) == 2 * (5 * 6 - 10)
    pasted = result(ask("complete", json=sent | {"paste": True}))
    assert picture(pasted["images"][0]).getpixel((0, 0)) != picture(made["images"][0]).getpixel(
        (0, 0)
    )


def test_what_cannot_be_completed_is_said(opened):
    ask = opened()
    sent = PLAIN | dict.fromkeys(("top", "bottom", "left", "right"), 0) | {"file": address(PHOTO)}
    for missing in (None, [1], ["x"] * 16):
        assert "16 zeros and ones" in failure(ask("complete", json=sent | {"missing": missing}))
    assert "nothing is to be completed" in failure(
        ask("complete", json=sent | {"missing": [0] * 16})
    )
    assert "nothing is known" in failure(ask("complete", json=sent | {"missing": [1] * 16}))


def test_surprise_is_what_the_prior_scores(opened, runs):
    found = result(opened()("surprise", json={"file": address(PHOTO), "conditions": {}}))
    pipeline = Pipeline.from_pretrained(runs / "prior")
    codes = pipeline.tokenizer.encode(from_pil(PHOTO)[None])
    nats = score_codes(pipeline, codes, pipeline.request(1).values)
    assert torch.tensor(found["bits"]) == pytest.approx(nats[0] / math.log(2), rel=1e-4)
    assert found["knowing_nothing"] == 4


def test_the_page_says_where_a_prior_is(opened, runs):
    assert Path(result(opened()("facts"))["path"]) == runs / "prior"


def test_maps_of_photographs_need_a_network(opened):
    ask = opened(PICTURES["depth"])
    answer = ask("condition?kind=depth&height=8&width=8&photograph=1", content=png(PHOTO))
    assert answer.status_code == 400
    assert "--annotate-depth" in answer.json()["message"]
