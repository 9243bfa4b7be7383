from itertools import count

import pytest

from sert.terminal.progress import Silent, Terminal
from sert.terminal.text import counted, printable, readable


def test_lines_tell_done_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = count(0, 3)  # the clock moves three seconds each time it is read
    reporter = Terminal(clock=lambda: float(next(seconds)))
    with reporter.track("mine", 10, "paths") as advance:
        advance(1.5)
        advance(2.5, "loss 1.2")
        advance(6)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mine: 4/10 paths, 0.4 paths/s, 9 s left, loss 1.2"
    assert lines[-1].startswith("mine: 10 paths in ")


def test_no_time_left_is_told_before_there_is_a_rate(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = count(0, 6)
    with Terminal(clock=lambda: float(next(seconds))).track("mine", 100, "paths") as advance:
        advance(1.5)
        advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["mine: 2/100 paths, 0.1 paths/s", "mine: 2/100 paths, 0.1 paths/s, 702 s left"]


def test_one_is_counted_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [(1, "replies"), (2, "replies"), (1.0, "epochs"), (0.5, "epochs"), (0, "runs"), (1_000_000, "tokens")]
    counts = ["1 reply", "2 replies", "1 epoch", "0.5 epochs", "0 runs", "1000000 tokens"]
    assert [counted(number, what) for number, what in numbers] == counts
    with Terminal().track("report", 1, "runs") as advance:
        advance(1)
    assert capsys.readouterr().err.startswith("report: 1 run in ")


def test_nothing_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().say("a\x1b[31mb\x07c\r\u202ed")
    assert capsys.readouterr().err == "a\\x1b[31mb\\x07c\\r\\u202ed\n"
    assert printable("plain\ttext\n") == "plain\ttext\n"


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with Silent().track("x", 1, "y") as advance:
        advance(1)
    Silent().say("x")
    assert capsys.readouterr() == ("", "")


def test_counts_are_written_for_people() -> None:
    assert readable({"eos": 3, "length": 4}) == "eos 3, length 4"
    assert readable({}) == "none"
    assert readable([0.7638688, 1.0]) == "0.7639 to 1"
    assert readable(1234567) == "1234567"


def test_a_pending_stop_ends_the_work() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Terminal(check=stop).track("x", 2, "units") as advance:
        advance(1)
