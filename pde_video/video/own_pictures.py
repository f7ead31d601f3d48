"""Pictures that this program wrote and nobody has changed since: a digest in each tells.

Only such are removed with a sequence that is replaced by a shorter one.
"""

import errno
import hashlib
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

from pde_video.access.opening import open_regular
from pde_video.errors import InputError
from pde_video.video.picture_parts import JPEG, PNG
from pde_video.video.sequences import member_name, numbered

_AFTER_HEADER, _AFTER_JFIF = 33, 20  # Bytes of a PNG, and of a JPEG whose first segment is that of JFIF.
_JFIF = b"\xff\xd8\xff\xe0\0\x10"
_CHUNK = b"pvID"  # Of a PNG: private, and not to be kept by editors that change anything.
_SEGMENT = b"\xff\xef"  # Of a JPEG: APP15, with a name.
_NAME = b"pde_video SHA-256\0"
_BLOCK = 2**20


def with_digest(data: bytes) -> bytes:
    """Return a PNG or JPEG with a digest of all the rest of it, which other programs pass over."""
    place = _place(data)
    return data[:place] + _part(data, hashlib.sha256(data).digest()) + data[place:]


def _place(head: bytes) -> int:
    return _AFTER_HEADER if head.startswith(PNG) else _AFTER_JFIF if head.startswith(_JFIF) else len(JPEG)


def _part(head: bytes, digest: bytes) -> bytes:
    if head.startswith(PNG):
        content = _CHUNK + digest
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    content = _NAME + digest
    return _SEGMENT + struct.pack(">H", 2 + len(content)) + content


def is_own(path: Path) -> bool:
    """Tell whether a file is a picture as this program wrote it."""
    try:
        with open_regular(path, follow=False) as file:
            head = file.read(_AFTER_HEADER)
            head = head[: _place(head)]
            file.seek(len(head))
            found = file.read(len(_part(head, bytes(32))))
            if _CHUNK not in found and _NAME not in found:
                return False
            digest = hashlib.sha256(head)
            while data := file.read(_BLOCK):
                digest.update(data)
    except (OSError, InputError):
        return False
    return head.startswith((PNG, JPEG)) and found == _part(head, digest.digest())


def check_surplus(pattern: Path, new: Collection[int], old: Collection[int] | None = None) -> None:
    """Raise if pictures of others would be removed when the sequence gets the members `new` instead of `old`."""
    members = numbered(pattern) if old is None else old
    surplus = [member_name(pattern, number) for number in members if number not in new]
    foreign = [name for name in surplus if not is_own(pattern.with_name(name))]
    if foreign:
        raise FileExistsError(
            errno.EEXIST,
            f"the new sequence has {len(new)} pictures; the folder has {len(foreign)} more with names of this pattern "
            f"that this program did not write, or that were edited since, such as {foreign[0]}. They would be "
            "removed: name another output, or a separate folder",
            str(pattern),
        )
