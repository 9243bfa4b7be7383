"""Randomness is a function of (seed, stage, item), never of what ran before or beside it."""

import hashlib


def derive_seed(seed: int, *parts: str | int) -> int:
    """Derive a 64-bit seed for one purpose.

    The same parts give the same seed in every process and on every machine; different parts give unrelated seeds.
    """
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in parts)])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
