"""Reads the tensors of a `torch.save` file without running anything that the file names.

Released checkpoints hold callbacks and config objects beside the weights, so torch's safe loader
refuses them. Here `Inert`, which never does anything, replaces every class and function that a file
names; only dictionaries and descriptions of tensors keep their meaning. The tensors of the state
dict are read afterwards, so an optimizer's state costs nothing.

Both formats of torch are read: the zip archive, and the sequence of pickles that came before it.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.interop.containers import Weights, find_weights

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the old format
LEGACY_HEADER_PICKLES = 2  # protocol and machine, between the magic number and the content
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Inert:
    """Replaces every class, function and object of a file that is not known to be harmless."""

    def __new__(cls, *_: object, **__: object) -> "Inert":
        """Make an inert object, whatever the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> "Inert":
        """Do nothing and return the same object."""
        return self

    def _ignore(self, *_: object) -> None:
        """Ignore the state or the items that a file would give to the object."""

    __setstate__ = __setitem__ = append = extend = add = _ignore


class Dictionary(dict[Any, Any]):
    """An ordered dictionary that takes no attributes from a file."""

    def __setstate__(self, _: object) -> None: ...


@dataclass(frozen=True)
class Storage:
    """A sequence of numbers in the file, which several tensors may share."""

    key: str
    dtype: torch.dtype
    count: int

    @property
    def size_bytes(self) -> int:
        """Size in the file in bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """Place and shape of a tensor in the file; its numbers are not read yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def build(self, data: bytes) -> Tensor:
        """Build the tensor from the bytes of its storage.

        Raises:
            ValueError: the tensor is larger than its storage.
        """
        # More elements than the storage has would let a small file ask for any memory.
        if len(data) < self.storage.size_bytes or math.prod(self.shape) > self.storage.count:
            raise ValueError(f"a tensor of shape {self.shape} is larger than its data")
        if math.prod(self.shape) == 0:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        flat = torch.frombuffer(bytearray(data), dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.strides, self.offset)


def read_weights(path: Path, averaged: bool = True) -> Weights:
    """Read the weights of a file of `torch.save`, on the CPU.

    It holds a state dict, or a dictionary with one under a name that `containers` knows; `averaged`
    is whether averaged weights are preferred to raw ones.

    Raises:
        InputError: it is no such file, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            read = _read_zip if zipfile.is_zipfile(file) else _read_legacy
            return read(file, averaged)
    # A file that is cut short or made to harm can end in nearly any exception.
    except Exception as error:
        raise InputError(
            f"{path} is not a checkpoint, or damaged: neither a whole file of torch.save nor one "
            "that ends in .safetensors"
        ) from error


def _read_zip(file: IO[bytes], averaged: bool) -> Weights:
    """Read a zip archive: it has `NAME/data.pkl`, and each storage as `NAME/data/KEY`."""
    with zipfile.ZipFile(file) as archive:
        (description,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = description.removesuffix("data.pkl")

        def read(name: str) -> bytes:
            # torch never compresses; a small archive that does may unpack to any size.
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"its part {name} is compressed")
            return archive.read(name)

        if f"{folder}byteorder" in archive.namelist() and read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        content = _Unpickler(io.BytesIO(read(description))).load()
        stored = find_weights(content, StoredTensor, averaged)
        return _build(stored, lambda storage: read(f"{folder}data/{storage.key}"))


def _read_legacy(file: IO[bytes], averaged: bool) -> Weights:
    """Read a sequence of pickles: magic number, header, content and storage keys; then storages."""
    file.seek(0)
    if _Unpickler(file).load() != LEGACY_MAGIC:
        raise ValueError("it does not begin as a file of torch.save")
    for _ in range(LEGACY_HEADER_PICKLES):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    content = unpickler.load()
    places = {}
    for key in _Unpickler(file).load():
        file.seek(8, 1)  # the count, which the content gave too
        places[key] = file.tell()
        file.seek(unpickler.storages[key].size_bytes, 1)

    def read(storage: Storage) -> bytes:
        file.seek(places[storage.key])
        return file.read(storage.size_bytes)

    return _build(find_weights(content, StoredTensor, averaged), read)


def _build(stored: Weights, read: Callable[[Storage], bytes]) -> Weights:
    tensors = {name: tensor.build(read(tensor.storage)) for name, tensor in stored.tensors.items()}
    return replace(stored, tensors=tensors)


# The version in Python: that in C sets aside memory for the largest number that the file names.
class _Unpickler(pickle._Unpickler):
    """Unpickler that knows the few names in `KNOWN` and storages; everything else is `Inert`."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return KNOWN.get((module, name), Inert)

    def persistent_load(self, identity: Any) -> Storage:
        _, dtype, key, _, count, *views = identity  # kind, type, key, device, count
        if not isinstance(dtype, torch.dtype) or any(views):
            raise ValueError(f"its storage {key!r} is of a type that is not known here")
        return self.storages.setdefault(key, Storage(key, dtype, count))


def _tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> StoredTensor:
    """Replaces torch's function that rebuilds a tensor."""
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


KNOWN = {
    ("collections", "OrderedDict"): Dictionary,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
}
