"""Reads damaged copies of a small dataset: `python -m tests.learning.store_mutations 1000`.

Every mutation is read in this one process, under a limit on memory and a clock that ends it; whoever calls it sees how
far it came.
"""

import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from armflow.learning.store import DatasetError, open_dataset
from armflow.learning.store.check import check
from tests.learning.store_samples import make_dataset

MEMORY = 4 << 30  # bytes of address space beyond what the process has when it begins
SECONDS = 5.0  # of processor time that a single mutation may take


def mutate(data: bytes, rng: np.random.Generator, others: list[bytes]) -> bytes:
    """Flip bits, overwrite, cut, repeat, or take the bytes of another file."""
    array = np.frombuffer(data, np.uint8).copy()
    kind = rng.integers(7)
    at = int(rng.integers(len(array)))
    if kind <= 1:
        places = rng.integers(len(array), size=rng.integers(1, 9))
        array[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    elif kind == 2:  # a number in a header, most of which are near the end or the beginning
        at = int(rng.choice([rng.integers(min(256, len(array))), len(array) - 1 - rng.integers(min(2048, len(array)))]))
        array[at : at + 4] = rng.choice([0, 0x7F, 0xFF, 0x80], size=len(array[at : at + 4]))
    elif kind == 3:
        return data[:at]
    elif kind == 4:
        return data[:at] + data[at : at + 64] * 3 + data[at:]
    elif kind == 5:
        array[at : at + 32] = rng.integers(256, size=len(array[at : at + 32]))
    else:
        return others[rng.integers(len(others))]
    return array.tobytes()


def read_all(folder: Path, *, checked: bool) -> None:
    """Read everything that a dataset offers."""
    if checked:
        list(check(folder, pictures=False))  # never raises: it finds
    dataset = open_dataset(folder)
    dataset.table()
    for episode in dataset.episodes:
        dataset.read(episode.index)


def run(count: int, seed: int) -> dict[str, int]:
    """Read `count` damaged datasets; how many were refused, and how many read as if nothing had happened."""
    counts = {"refused": 0, "read": 0}
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_dataset(Path(scratch) / "set", 2)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        whole = [path.read_bytes() for path in files]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            chosen = int(rng.integers(len(files)))
            print(number, files[chosen].relative_to(folder), file=sys.stderr)  # noqa: T201
            files[chosen].write_bytes(mutate(whole[chosen], rng, whole))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # the signal ends the process
            try:
                read_all(folder, checked=number % 5 == 0)
                counts["read"] += 1
            except DatasetError:
                counts["refused"] += 1
            signal.setitimer(signal.ITIMER_PROF, 0)
            files[chosen].write_bytes(whole[chosen])
        shutil.rmtree(folder)
    return counts


if __name__ == "__main__":
    print(run(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0))  # noqa: T201
