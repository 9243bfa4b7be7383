"""Whether the model hub can be reached at all."""

import os
import socket
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies

_HUB = "https://huggingface.co"


@lru_cache
def hub_is_there() -> bool:
    """Tell whether somebody knows the hub's address. Behind a proxy, which is who looks it up, it is taken to be there.

    Without a network the hub's library would try for a minute, file by file, and print each try.
    """
    if getproxies():
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT") or _HUB).hostname
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
