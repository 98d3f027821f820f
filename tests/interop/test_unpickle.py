"""Reading the weights of a checkpoint runs nothing of it, whatever it holds."""

import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

from smalti.config import InputError
from smalti.interop.checkpoint import read_checkpoint
from smalti.interop.unpickle import read_weights

FORMATS = {"zip": True, "legacy": False}


class Payload:
    """Calls something when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stateful:
    """Writes a file when its state is set."""

    def __init__(self, marker):
        self.marker = marker

    def __setstate__(self, state):
        open(state["marker"], "w", encoding="utf-8").close()


@pytest.fixture
def state_dict() -> OrderedDict:
    """What a state dict may hold: its metadata, views, parameters, several types."""
    state = nn.BatchNorm2d(4).state_dict()
    whole = torch.randn(3, 4)
    state["parameter"] = nn.Parameter(torch.randn(2, 3))
    state["whole"], state["transposed"], state["row"] = whole, whole.T, whole[1]
    state["scalar"], state["empty"] = torch.tensor(2.5), torch.empty(0, 3)
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.bool):
        state[str(dtype)] = torch.ones(3, dtype=dtype)
    return state


@pytest.fixture(params=FORMATS)
def save(request, tmp_path):
    """Writes a checkpoint in either of torch's formats."""

    def write(content):
        path = tmp_path / "model.ckpt"
        torch.save(content, path, _use_new_zipfile_serialization=FORMATS[request.param])
        return path

    return write


def assert_same(read, state):
    assert read.keys() == state.keys()
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_tensors_are_those_that_were_saved(save, state_dict):
    assert_same(read_weights(save(state_dict)).tensors, state_dict)
    assert_same(read_checkpoint(save(state_dict)).tensors, state_dict)


@pytest.fixture
def foreign_module(monkeypatch):
    """A package with a class, as a training framework has; gone before the file is read."""
    module = types.ModuleType("foreign_config")
    exec("class Node(dict):\n    pass\nclass Callback:\n    pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "foreign_config", module)
    return module


def test_foreign_classes_are_neither_needed_nor_imported(
    save, state_dict, foreign_module, monkeypatch
):
    callback = foreign_module.Callback()
    callback.best = torch.tensor(1.0)
    path = save(
        {
            "epoch": 3,
            "state_dict": state_dict,
            "callbacks": {foreign_module.Callback: callback},
            "hyper_parameters": foreign_module.Node(lr=[foreign_module.Node()], names={"a", "b"}),
            "optimizer_states": [{"state": torch.zeros(5)}],
        }
    )
    monkeypatch.delitem(sys.modules, "foreign_config")
    assert_same(read_checkpoint(path).tensors, state_dict)
    assert "foreign_config" not in sys.modules


def test_malicious_pickle_does_nothing(save, state_dict, tmp_path):
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w').close()"
    state_dict["evil"] = Payload(os.system, f"touch {marker}")
    path = save(
        {
            "state_dict": state_dict,
            "callbacks": {"deep": [{"deeper": (Payload(eval, code), Payload(exec, code))}]},
            "hyper_parameters": Stateful(str(marker)),
            "getter": Payload(getattr, Payload(__import__, "os"), "system"),
        }
    )
    del state_dict["evil"]
    assert_same(read_checkpoint(path).tensors, state_dict)
    assert not marker.exists()
    # The file is what it is meant to be: a trusting reader runs it.
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_result_of_a_call_is_called_without_effect(tmp_path):
    """getattr(__import__('os'), 'system')('touch marker'), in the machine's own words."""
    marker = tmp_path / "marker"
    body = (
        b"(cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR"
        + f"(S'touch {marker}'\ntR".encode()
    )
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", body + b"l.")
    pickle.loads(body + b"l.")
    assert marker.exists()
    marker.unlink()
    with pytest.raises(InputError, match="holds no tensors"):
        read_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_truncated_file_is_one_clear_line(save, share):
    path = save({"state_dict": {"weight": torch.randn(200)}})
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(InputError, match=r"model.ckpt is not a checkpoint, or damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        b"Dear reader, this is a letter.",
        b"\x89PNG\r\n\x1a\n",
        pickle.dumps({"weight": 1}),
        b"\x80\x02}r\xff\xff\xff\x7f.",  # a memo of two thousand million places
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60),  # a string of an exabyte
    ],
)
def test_file_of_another_kind_is_one_clear_line(tmp_path, content):
    path = tmp_path / "letter.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"letter.ckpt is not a checkpoint, or damaged"):
        read_checkpoint(path)


def test_absurd_header_of_safetensors_is_one_clear_line(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(InputError, match=r"model.safetensors is damaged"):
        read_checkpoint(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none.ckpt does not exist"):
        read_checkpoint(tmp_path / "none.ckpt")


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1], {"state_dict": 3}, 7])
def test_checkpoint_without_tensors_is_named(save, content):
    with pytest.raises(InputError, match="holds no tensors"):
        read_checkpoint(save(content))


def _archive(path, pickled, storage=b"\0" * 8, compressed=None):
    """Writes the two parts of an archive, compressing the one of that name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"model/data.pkl": pickled, "model/data/0": storage}.items():
            how = zipfile.ZIP_DEFLATED if name == compressed else zipfile.ZIP_STORED
            archive.writestr(name, content, how)


def _tensor(shape: tuple[int, ...], strides: tuple[int, ...], count: int, offset: int = 0) -> bytes:
    """Pickle of a state dict with one tensor of any claims."""
    lines = ["(S'weight'", "ctorch._utils", "_rebuild_tensor_v2"]
    lines += ["((S'storage'", "ctorch", "FloatStorage", "S'0'", "S'cpu'", f"I{count}"]
    lines += [f"tQI{offset}", "(" + "".join(f"I{number}\n" for number in shape) + "t("]
    lines[-1] += "".join(f"I{number}\n" for number in strides) + "tI00"
    return "\n".join([*lines, "(dtRd."]).encode()


@pytest.mark.parametrize(
    "claims",
    [
        {"shape": (10**12,), "strides": (0,), "count": 2},  # more than its storage, by repeating
        {"shape": (4,), "strides": (1,), "count": 4},  # more than the file has
        {"shape": (2,), "strides": (1,), "count": 2, "offset": 1},  # beyond the end
        {"shape": (2,), "strides": (-1,), "count": 2},
        {"shape": (-1, -2), "strides": (1, 1), "count": 2},
    ],
)
def test_tensor_that_claims_more_than_the_file_has_is_refused(tmp_path, claims):
    path = tmp_path / "model.pt"
    _archive(path, _tensor(**claims))
    with pytest.raises(InputError, match="not a checkpoint, or damaged"):
        read_weights(path)


def test_hand_written_archive_is_read_where_its_claims_hold(tmp_path):
    path = tmp_path / "model.pt"
    _archive(path, _tensor((2,), (1,), 2), torch.tensor([1.0, 2.0]).numpy().tobytes())
    assert_same(read_weights(path).tensors, {"weight": torch.tensor([1.0, 2.0])})


@pytest.mark.parametrize("compressed", ["model/data.pkl", "model/data/0"])
def test_compressed_archive_is_refused(tmp_path, compressed):
    """A few bytes of it may unpack to any size; torch never compresses."""
    path = tmp_path / "model.pt"
    _archive(path, _tensor((2,), (1,), 2), compressed=compressed)
    with pytest.raises(InputError, match="not a checkpoint, or damaged"):
        read_weights(path)
