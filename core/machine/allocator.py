"""Memory of a process that computes: what it frees it will soon ask for again."""

import ctypes
import gc
import sys

# Numbers and bounds of mallopt(3); glibc takes no larger threshold for blocks of their own.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK, _LARGEST_NUMBER = 2**25, 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, up to two gigabytes, for what it allocates next.

    Otherwise the C library hands the large blocks of each operation back to the system, which clears them
    page by page when they are requested again. Does nothing where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        library.mallopt(_TRIM_THRESHOLD, _LARGEST_NUMBER)


def release_memory() -> None:
    """Let go of what nobody refers to any more, a GPU's cached blocks included."""
    gc.collect()
    torch = sys.modules.get("torch")  # else it holds nothing
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
