"""Damages a model file as a disk does."""

import struct
import zipfile


def flip_bit(path, *, deflated=False):
    """Turns a bit over inside the weights of a `.keras` file, maybe in a compressed copy of it.

    Python says BadZipFile of the plain one, whose checksum is wrong, and zlib.error of the other.
    """
    if deflated:
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
    with zipfile.ZipFile(path) as archive:
        header = archive.getinfo("model.weights.h5").header_offset
    content = bytearray(path.read_bytes())
    # The content follows a header of 30 bytes, a name and an extra field, whose lengths stand at
    # the header's end. Of a compressed block the first byte tells how it is compressed.
    lengths = struct.unpack_from("<HH", content, header + 26)
    content[header + 30 + sum(lengths)] ^= 0b110
    path.write_bytes(content)
