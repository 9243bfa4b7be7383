"""Waiting for a descriptor."""

import select


def readable(descriptor: int, *, seconds: float) -> bool:
    """Wait so many seconds at most until something can be read, or the other end is closed, and say whether it is so.

    Unlike `select` this takes descriptors of any number.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * max(0.0, seconds)))
