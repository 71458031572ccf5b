"""Random generators from a seed and a stable key.

Everything random takes a generator made here, so that what is drawn depends on the seed and on what
it is drawn *for*, never on the order of work, on `hash()`, or on a library that seeds globally.
"""

import hashlib

import numpy as np


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and the texts and numbers of `key` alone.

    The key is hashed with sha256 and enters `SeedSequence` as eight 32-bit words.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, *_words(key)]))


def derived_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed for libraries that take an integer instead of a generator."""
    return int(generator(seed, *key).integers(2**63 - 1))


def _words(key: tuple[str | int, ...]) -> list[int]:
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    digest = hashlib.sha256(text.encode()).digest()
    return [int.from_bytes(digest[start : start + 4], "little") for start in range(0, 32, 4)]
