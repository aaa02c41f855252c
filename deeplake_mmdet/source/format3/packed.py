"""Whether chunks that were compressed as a whole are complete.

Deep Lake 3 packs such a chunk as one block of LZ4 behind its unpacked size, and a tile of an image as an image.
"""

from __future__ import annotations

import struct

_ENDS = {b'\x89PNG': b'IEND\xaeB`\x82', b'\xff\xd8\xff': b'\xff\xd9'}
_FRAME = b'\x04"M\x18'


def is_whole(content: bytes, size: int | None) -> bool:
    """Whether a packed chunk can be unpacked.

    Args:
        content: The chunk behind its header.
        size: Bytes that it must unpack to, where that is known.

    Returns:
        False where it is cut. True also for packings that do not tell.
    """
    if not content:
        return not size
    for start, end in _ENDS.items():
        if content.startswith(start):
            return content.endswith(end)
    if content.startswith(_FRAME) or len(content) < 4:
        return len(content) > 4
    (unpacked,) = struct.unpack_from('<I', content)
    return size is None or (size == unpacked == _lz4_size(content))


def _lz4_size(content: bytes) -> int:
    """Bytes that a block of LZ4 unpacks to, found by walking over its sequences; -1 if it ends within one.

    A sequence is a token of two lengths of four bits (15: more bytes follow), the literals, and a match: two bytes of
    distance. The last one has no match. See the LZ4 block format of lz4.org.
    """
    at, end, size = 4, len(content), 0
    try:
        while at < end:
            token = content[at]
            at, literals = _length(content, at + 1, token >> 4)
            at, size = at + literals, size + literals
            if at >= end:
                return size if at == end else -1
            at, match = _length(content, at + 2, token & 15)
            size += match + 4
    except IndexError:
        pass
    return -1


def _length(content: bytes, at: int, length: int) -> tuple[int, int]:
    if length < 15:
        return at, length
    while True:
        more = content[at]
        at, length = at + 1, length + more
        if more < 255:
            return at, length
