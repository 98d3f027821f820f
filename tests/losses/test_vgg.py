import hashlib

import pytest
import torch
from safetensors.torch import save_file

from smalti.config import InputError
from smalti.losses.vgg import (
    VGG16,
    VGG_VARIABLE,
    download_vgg_weights,
    find_vgg_weights,
    load_vgg,
)


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.delenv(VGG_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_has_the_convolutions_of_vgg16_under_torchvisions_names():
    shapes = {name: tuple(tensor.shape) for name, tensor in VGG16().state_dict().items()}
    numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert [name for name in shapes if name.endswith("weight")] == [
        f"features.{number}.weight" for number in numbers
    ]
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 14_714_688


def test_taps_the_last_activation_of_each_stage(vgg_file):
    trunk = load_vgg(vgg_file)
    images = torch.rand(1, 3, 32, 48)
    maps = trunk(images)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 32, 48),
        (128, 16, 24),
        (256, 8, 12),
        (512, 4, 6),
        (512, 2, 3),
    ]
    # relu1_2, ..., relu5_3 are torchvision's layers 3, 8, 15, 22 and 29.
    for layer, features in zip((3, 8, 15, 22, 29), maps, strict=True):
        torch.testing.assert_close(features, trunk.features[: layer + 1](images))


def test_loads_timms_safetensors(vgg_file, tmp_path):
    tensors = torch.load(vgg_file, weights_only=True)
    names = {"classifier.0.weight": "pre_logits.fc1.weight", "classifier.0.bias": "head.fc.bias"}
    path = tmp_path / "model.safetensors"
    save_file({names.get(name, name): tensor for name, tensor in tensors.items()}, path)
    expected = load_vgg(vgg_file).state_dict()
    for name, tensor in load_vgg(path).state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_another_network_is_refused_with_the_first_name_that_differs(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(64, 1, 3, 3)}, path)
    with pytest.raises(InputError, match=r"features\.0\.weight must be \(64, 3, 3, 3\).*64, 1"):
        load_vgg(path)


@pytest.mark.parametrize("content", [[1, 2], {"features.0.weight": "none"}])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "list.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"is not VGG16: features\.0\.weight .* has nothing"):
        load_vgg(path)


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_damaged_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x80\x02not weights")
    with pytest.raises(InputError, match="damaged"):
        load_vgg(path)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": tmp_path.joinpath}, path)
    with pytest.raises(InputError, match="damaged or not a file of weights"):
        load_vgg(path)


def test_nothing_is_found_in_an_empty_cache():
    assert find_vgg_weights(None) is None


def test_a_named_file_goes_before_the_environment(monkeypatch, vgg_file, tmp_path):
    other = tmp_path / "other.pth"
    other.touch()
    monkeypatch.setenv(VGG_VARIABLE, str(other))
    assert find_vgg_weights(None) == other
    assert find_vgg_weights(vgg_file) == vgg_file


def test_a_named_file_that_does_not_exist_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone\.pth do not exist"):
        find_vgg_weights(tmp_path / "gone.pth")
    monkeypatch.setenv(VGG_VARIABLE, str(tmp_path / "lost.pth"))
    with pytest.raises(InputError, match=r"lost\.pth do not exist"):
        find_vgg_weights(None)


def test_a_download_is_found_afterwards(tmp_path):
    source = tmp_path / "source.pth"
    source.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    path = download_vgg_weights(source.as_uri(), digest[:8])
    assert path.read_bytes() == b"weights"
    assert find_vgg_weights(None) == path


def test_a_download_of_other_bytes_is_refused_and_not_kept(tmp_path):
    source = tmp_path / "source.pth"
    source.write_bytes(b"other weights")
    with pytest.raises(InputError, match="invalid hash value"):
        download_vgg_weights(source.as_uri(), "397923af")
    assert find_vgg_weights(None) is None
    assert not list((tmp_path / "torch").rglob("*.pth*"))


def test_a_download_that_does_not_answer_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot download VGG16 weights from file"):
        download_vgg_weights((tmp_path / "nowhere.pth").as_uri())
