"""Take the ELF file out of a bzImage: `vmlinux.py bzImage vmlinux`.

The boot protocol's header says where the packed kernel is (Linux Documentation/arch/x86/boot.rst): setup_sects at
0x1f1, payload_offset at 0x248 from the end of the setup, payload_length at 0x24c.
"""
import lzma
import struct
import sys

image = open(sys.argv[1], "rb").read()
assert image[0x202:0x206] == b"HdrS", "not a bzImage"
setup = (image[0x1F1] or 4) * 512 + 512
offset, length = struct.unpack_from("<II", image, 0x248)
packed = image[setup + offset : setup + offset + length]
assert packed[:6] == b"\xfd7zXZ\0", "not packed with xz"
# Four bytes after the packed kernel are its unpacked size.
kernel = lzma.LZMADecompressor().decompress(packed)
assert kernel[:4] == b"\x7fELF", "no ELF file inside"
open(sys.argv[2], "wb").write(kernel)
