"""Archives of every kind, written member by member, well-formed and hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping

import zstandard

Members = Mapping[str, bytes]


def tar(members: Members, form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive; ``form`` is one of tarfile's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tar_entry(
    name: str, data: bytes = b"", kind: bytes = b"0", link: str = "", size: int | None = None
) -> bytes:
    """One member of a tar archive, which may claim another size than it has."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if size is None else size
    header = info.tobuf(tarfile.GNU_FORMAT)
    return header + data + bytes(-len(data) % 512)


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def newc(members: Members, *, mode: int = 0o100644) -> bytes:
    """A cpio archive as ``cpio -H newc`` writes it."""
    out = b""
    for name, data in {**members, "TRAILER!!!": b""}.items():
        raw = name.encode() + b"\0"
        fields = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        out += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    return out


def odc(members: Members) -> bytes:
    """A cpio archive as ``cpio -H odc`` writes it."""
    out = b""
    for name, data in {**members, "TRAILER!!!": b""}.items():
        raw = name.encode() + b"\0"
        out += b"070707%06o%06o%06o%06o%06o%06o%06o%011o" % (0, 1, 0o100644, 0, 0, 1, 0, 0)
        out += b"%06o%011o" % (len(raw), len(data)) + raw + data
    return out


def old_cpio(members: Members, order: str = "<") -> bytes:
    """A cpio archive as ``cpio -o`` writes it, of either byte order."""
    out = b""
    for name, data in {**members, "TRAILER!!!": b""}.items():
        raw = name.encode() + b"\0"
        size = len(data) >> 16, len(data) & 0xFFFF
        out += struct.pack(f"{order}13H", 0o070707, 0, 1, 0o100644, 0, 0, 1, 0, 0, 0, len(raw), *size)
        out += raw + bytes(len(raw) % 2) + data + bytes(len(data) % 2)
    return out


def zstd(data: bytes) -> bytes:
    """A zstd frame with a checksum, as the zstd program writes it."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


def _packed_tar(pack: Callable[[bytes], bytes]) -> Callable[[Members], bytes]:
    return lambda members: pack(tar(members))


CONTAINERS: dict[str, Callable[[Members], bytes]] = {
    "tar": tar,
    "ustar": lambda members: tar(members, tarfile.USTAR_FORMAT),
    "pax": lambda members: tar(members, tarfile.PAX_FORMAT),
    "newc": newc,
    "odc": odc,
    "cpio": old_cpio,
    "cpio of the other order": lambda members: old_cpio(members, ">"),
    "zip": zipped,
    "stored zip": lambda members: zipped(members, zipfile.ZIP_STORED),
    "bzip2 zip": lambda members: zipped(members, zipfile.ZIP_BZIP2),
    **{f"tar.{name}": _packed_tar(pack) for name, pack in COMPRESSORS.items()},
    "cpio.gz": lambda members: gzip.compress(newc(members)),
}
