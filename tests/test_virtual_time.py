import asyncio
import time

import pytest

from virtual_time import Stuck, run_virtual


async def sleeper(log: list[tuple[str, float]], name: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    log.append((name, asyncio.get_running_loop().time()))


def test_an_hour_passes_at_once_and_in_order() -> None:
    log: list[tuple[str, float]] = []

    async def main() -> float:
        start = asyncio.get_running_loop().time()
        await asyncio.gather(sleeper(log, "late", 3600), sleeper(log, "early", 0.5), sleeper(log, "soon", 60))
        return start

    began = time.monotonic()
    assert run_virtual(main()) == 0.0
    assert time.monotonic() - began < 5
    assert log == [("early", 0.5), ("soon", 60.0), ("late", 3600.0)]


def test_more_than_a_day_passes_too() -> None:
    async def main() -> float:
        await asyncio.sleep(100_000)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 100_000.0


def test_timeouts_are_virtual() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 900)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 900.0


def test_a_wait_for_nothing_is_an_error() -> None:
    async def main() -> None:
        await asyncio.sleep(7)
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match=r"at 7 s nothing is ready"):
        run_virtual(main())


def test_a_heartbeat_does_not_hide_a_wait_for_nothing() -> None:
    async def beat() -> None:
        while True:
            await asyncio.sleep(10)

    async def main() -> None:
        beating = asyncio.create_task(beat())
        await asyncio.Event().wait()
        beating.cancel()

    with pytest.raises(Stuck, match=r"not done after 500 s"):
        run_virtual(main(), at_most=500)


def test_errors_come_out_and_leftover_tasks_are_cancelled() -> None:
    ends: list[str] = []

    async def other() -> None:
        try:
            await asyncio.sleep(50)
        finally:
            ends.append("cancelled")

    async def main() -> None:
        task = asyncio.create_task(other())
        await asyncio.sleep(1)
        raise ValueError(f"{task.done()}")

    with pytest.raises(ValueError, match="False"):
        run_virtual(main())
    assert ends == ["cancelled"]
