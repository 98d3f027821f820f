"""Writes shards of codes anew in another format; each is a unit of work, as in `encode`."""

from dataclasses import dataclass
from pathlib import Path

from smalti.codes.manifest import CODES, Encoding, FileFormat, Manifest, ShardRecord, read_manifest
from smalti.codes.read import check_shard
from smalti.codes.shard_contents import read_shard
from smalti.codes.shard_files import check_format, store_shard
from smalti.config import InputError
from smalti.shard_folder import write_record


@dataclass(frozen=True, slots=True)
class Conversion:
    """Codes that are written into another folder in another format."""

    source: Path
    """The finished folder that is read."""
    manifest: Manifest
    """What it says of itself."""
    folder: Path
    """The folder that is written; `manifest.begin_folder` has made it."""
    encoding: Encoding
    """The encoding of the source, with the other format."""


def open_conversion(source: Path, folder: Path, file_format: FileFormat) -> Conversion:
    """Open a finished folder of codes.

    Raises:
        InputError: it holds no codes, is not finished, or has this format already, or the library
            of a format is not installed.
    """
    manifest = read_manifest(source)
    was = manifest.encoding.file_format
    if was == file_format:
        raise InputError(f"{source} holds {was} already; choose another --format")
    for one in (was, file_format):
        check_format(one)
    encoding = manifest.encoding.model_copy(update={"file_format": file_format})
    return Conversion(source, manifest, folder, encoding)


def converted(conversion: Conversion, number: int) -> ShardRecord | None:
    """The record of a shard that was converted before, or None.

    Raises:
        InputError: it was made of other images.
    """
    record = CODES.read_record(conversion.folder, number)
    if record is None:
        return None
    if record.names_sha256 != conversion.manifest.shards[number].names_sha256:
        raise InputError(
            f"{conversion.folder / record.file} was made of other images than those in "
            f"{conversion.source}; choose a new folder"
        )
    return record


def convert_shard(conversion: Conversion, number: int) -> ShardRecord:
    """Write one shard in the other format, whole or not at all; or find it finished.

    Returns:
        The record, also in the folder as `shard-NUMBER.json`.

    Raises:
        InputError: the shard that is read is missing, cut short or damaged, or was made of other
            images than the finished one, or the disk is full.
    """
    found = converted(conversion, number)
    if found is not None:
        return found
    before = conversion.manifest.shards[number]
    check_shard(conversion.source, conversion.manifest, number)
    columns = read_shard(conversion.source / before.file, conversion.manifest.encoding)
    path = conversion.folder / conversion.encoding.name_of(number)
    stored = store_shard(path, columns, conversion.encoding)
    record = before.model_copy(
        update={"file": path.name, "bytes": stored.bytes, "sha256": stored.sha256}
    )
    write_record(conversion.folder, number, record)
    return record
