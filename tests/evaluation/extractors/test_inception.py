"""The Inception of the FID, with made-up weights: the real ones are a download."""

import hashlib
from pathlib import Path

import pytest
import torch

from smalti import published_weights
from smalti.config import InputError
from smalti.evaluation.extractors import inception
from smalti.evaluation.extractors.inception import InceptionExtractor, resize_like_tensorflow1
from smalti.evaluation.extractors.inception_network import InceptionV3
from smalti.ranges import from_uint8
from smalti.weights import count_parameters


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    """Weights that keep the values of every layer of the order of 1."""
    network = InceptionV3()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in sorted(network.state_dict().items()):
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.3 * noise.tanh())
            elif tensor.ndim > 1:
                tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
            else:
                tensor.copy_(float("bn.weight" in name) + 0.2 * noise)
    return network


def test_gives_the_features_and_logits_of_torch_fidelity(network):
    """Recorded from torch-fidelity 0.4.0 with the same weights and pictures, of another shape."""
    extractor = InceptionExtractor(network, "")
    pictures = ((torch.arange(2 * 3 * 20 * 24) * 37) % 256).view(2, 3, 20, 24).to(torch.uint8)
    features = extractor.features(from_uint8(pictures))
    expected = torch.tensor(
        [
            [3.9999618530, 0.0, 0.1393822134, 0.2148306519],
            [4.0799384117, 0.0, 0.134529829, 0.2015833557],
        ]
    )
    torch.testing.assert_close(features[:, :4], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        features.mean(1), torch.tensor([0.9122154713, 0.9151508212]), rtol=1e-5, atol=0
    )
    expected = torch.tensor([[-3.6733431816, 0.3455167413], [-3.6863446236, 0.3416379094]])
    torch.testing.assert_close(extractor.logits(features)[:, :2], expected, rtol=1e-3, atol=0)


def test_has_the_weights_of_the_published_conversion():
    network = InceptionV3()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_6e.branch7x7dbl_5.bn.running_var"] == (192,)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["fc.weight"] == (1008, 2048)
    # torchvision's without its second classifier, and eight classes more
    assert count_parameters(network) == 23_834_568 + 8 * 2049


def test_images_are_rounded_to_8_bits(monkeypatch):
    extractor = InceptionExtractor(torch.nn.Flatten(), "")
    images = from_uint8(torch.tensor([0, 1, 128, 255], dtype=torch.uint8)).view(1, 1, 2, 2)
    images = images.expand(1, 3, 2, 2) + 0.003
    monkeypatch.setattr(inception, "SEEN_PX", 2)
    seen = extractor.features(images)[0, :4]
    torch.testing.assert_close(seen * 128 + 128, torch.tensor([0.0, 1.0, 128.0, 255.0]))


def test_resizing_has_the_offset_of_tensorflow_1_by_hand():
    images = torch.tensor([0.0, 3.0, 9.0]).view(1, 1, 1, 3).expand(1, 1, 2, 3)
    rows = resize_like_tensorflow1(images, 6)[0, 0]
    # positions 0, 1/2, 1, 3/2, 2, 5/2; the last pixel has no neighbour
    torch.testing.assert_close(rows, torch.tensor([0.0, 1.5, 3.0, 6.0, 9.0, 9.0]).expand(6, 6))
    halved = resize_like_tensorflow1(torch.arange(16.0).view(1, 1, 4, 4), 2)
    # without antialiasing every second pixel is left out
    assert halved.flatten().tolist() == [0.0, 2.0, 8.0, 10.0]


@pytest.fixture
def published(monkeypatch, tmp_path) -> Path:
    """A file that is taken for the published one."""
    path = tmp_path / "pt_inception.pth"
    tensors = InceptionV3().state_dict()
    kept = {n: t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}
    torch.save(kept, path)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(inception, "URL", path.as_uri())
    return path


def test_the_published_file_is_read_from_a_path_and_downloaded_once(published, caplog):
    caplog.set_level("INFO")
    extractor = InceptionExtractor.load(str(published))
    assert extractor.fingerprint == inception.SHA256
    assert not caplog.records
    downloaded = InceptionExtractor.load(None)
    assert "downloading the Inception of the FID (96 MB) from file:" in caplog.text
    for name, tensor in extractor.network.state_dict().items():
        assert torch.equal(tensor, downloaded.network.state_dict()[name])
    published.unlink()
    cached = published_weights.download_path(inception.URL)
    assert InceptionExtractor.load(None).fingerprint == inception.SHA256
    assert cached.is_file()


def test_the_published_file_comes_from_the_hub(published, monkeypatch):
    asked = []

    def download(*names: str, local_files_only: bool) -> str:
        asked.append((*names, local_files_only))
        return str(published)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert InceptionExtractor.load("hf://me/nets/fid/inception.pth").fingerprint
    assert asked == [("me/nets", "fid/inception.pth", False)]


def test_other_weights_are_refused_with_both_hashes(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")
    found = hashlib.sha256(b"mine").hexdigest()
    with pytest.raises(InputError, match=rf"mine\.pth is not .* SHA-256 is {found}.*{'6726825d'}"):
        InceptionExtractor.load(str(path))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("gone.pth", r"gone\.pth do not exist; give the file, hf://"),
        ("hf://me/nets", "names no file"),
    ],
)
def test_weights_that_are_not_there_are_one_line(weights, message):
    with pytest.raises(InputError, match=message):
        InceptionExtractor.load(weights)


def test_a_hub_out_of_reach_is_one_line(monkeypatch):
    def refuse(*_: str, **__: bool) -> str:
        raise OSError("no such file in the cache\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("smalti.hub.is_reachable", lambda: False)
    with pytest.raises(InputError, match=r"does not give hf://a/b/c\.pth: it cannot be reached"):
        InceptionExtractor.load("hf://a/b/c.pth")
