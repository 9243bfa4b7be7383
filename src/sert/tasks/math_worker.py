"""The process in which math-verify compares expressions; `sert.tasks.comparing` starts it by its file.

A line of JSON comes in for each pair, a byte goes out: `1` for the same value, `0` for another or none. It imports
nothing of this package, has bounds of memory and time, and writes no file.
"""

import contextlib
import json
import math
import os
import resource
import signal
import sys
from typing import Any

MOST_MEMORY = 2**31
MOST_DEPTH = 2_000


def main() -> None:
    """Answer until no line comes any more."""
    seconds = math.ceil(float(sys.argv[1])) + 1
    answers = os.dup(1)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what the libraries print is no answer
    for bound, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # not every system knows every bound
            resource.setrlimit(bound, (most, most))
    from math_verify import LatexExtractionConfig, parse, verify

    def value_of(text: str) -> Any:
        read = [LatexExtractionConfig()]  # plain forms too; the other reader of math-verify runs Python on texts
        return parse(f"${text}$", extraction_config=read, parsing_timeout=None)

    def same(answer: str, gold: str) -> bool:
        values = value_of(answer), value_of(gold)
        return all(values) and bool(verify(values[1], values[0], timeout_seconds=None))

    sys.setrecursionlimit(MOST_DEPTH)
    os.write(answers, b"r")
    for line in sys.stdin.buffer:
        signal.alarm(seconds)  # ends this process, should nobody be there to kill it
        try:
            found = same(*json.loads(line))
        except Exception:  # what an algebra system makes of a model's text is not documented
            found = False
        signal.alarm(0)
        os.write(answers, b"1" if found else b"0")


if __name__ == "__main__":
    main()
