"""Readers of sources, one a file: each says whether it takes a source, and reads it.

Another one is a file here, or a class that an installed package names as an entry point in the group `midmix.readers`.
"""

from midmix.data.readers.reader import READERS, Place, Reader, reader_of

__all__ = ["READERS", "Place", "Reader", "reader_of"]
