"""How long stages take, collected by name."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

__all__ = ["timed"]


@contextmanager
def timed(timings: MutableMapping[str, list[float]], stage: str) -> Iterator[None]:
    """Append the block's time on the clock, ms, to `timings[stage]`; a block that raises is not counted."""
    start = time.perf_counter()
    yield
    timings.setdefault(stage, []).append(1e3 * (time.perf_counter() - start))
