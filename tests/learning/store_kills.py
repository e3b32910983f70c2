"""Kills a writer at random moments and looks at what is left: `python -m tests.learning.store_kills 200`."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from armflow.learning.store import DatasetError, DatasetWriter, open_dataset
from armflow.learning.store.check import check
from armflow.learning.store.repair import repair
from tests.learning.store_samples import assert_same, make_recording, make_schema

EPISODES = 3
MEMORY = Path("/dev/shm")  # a disk would only make the waits for it longer


def write(folder: Path, log: Path) -> None:
    """Write episodes in two sessions, and note each that has ended."""
    for session in range(2):
        with DatasetWriter(folder, make_schema()) as writer:
            for index in range(session * EPISODES, (session + 1) * EPISODES):
                recording = make_recording(index)
                writer.begin(recording.task)
                for frame in range(recording.length):
                    writer.append({name: a[frame] for name, a in recording.arrays.items()}, recording.stamps[frame])
                writer.end()
                with log.open("a") as file:
                    file.write(f"{index}\n")


def killed(folder: Path, log: Path, seconds: float) -> float:
    """Run the writer in a process of its own and kill it after some time; how long it lived, s."""
    start = time.perf_counter()
    child = os.fork()
    if not child:
        write(folder, log)
        os._exit(0)
    while time.perf_counter() - start < seconds:
        if os.waitpid(child, os.WNOHANG)[0]:
            return time.perf_counter() - start
        time.sleep(1e-3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return seconds


def examine(folder: Path, finished: int) -> tuple[int, bool]:
    """Read what is left before and after a repair; the number of episodes, and whether joining was cut off."""
    if not (folder / "meta/info.json").exists():
        assert finished == 0
        return 0, False
    dataset = open_dataset(folder)
    found = len(dataset.episodes)
    assert finished <= found <= finished + 1  # one may have ended without being noted
    for index in range(found):
        assert_same(dataset.read(index), make_recording(index))
    cut = any((folder / "recording").glob("episode-*"))
    repair(folder)
    assert list(check(folder)) == []
    assert not (folder / "damaged").exists()
    assert len(open_dataset(folder).episodes) == found
    with DatasetWriter(folder, make_schema(), durable=False) as writer:
        writer.add(make_recording(found))
    dataset = open_dataset(folder)
    for index in range(found + 1):
        assert_same(dataset.read(index), make_recording(index))
    return found, cut


def run(trials: int, seed: int) -> dict[str, int]:
    """Kill the writer `trials` times, at moments spread evenly over its work, in random order."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        start = time.perf_counter()
        write(Path(scratch) / "whole", Path(scratch) / "whole.txt")
        duration = time.perf_counter() - start
        counts = {"trials": trials, "episodes": 0, "cut while recording or joining": 0, "done before": 0}
        for moment in rng.permutation((np.arange(trials) + rng.uniform(size=trials)) / trials):
            folder, log = Path(scratch) / "set", Path(scratch) / "log.txt"
            shutil.rmtree(folder, ignore_errors=True)
            log.write_text("")
            lived = killed(folder, log, moment * duration)
            if lived < moment * duration:  # done before it was killed: the machine is faster than it was
                duration = lived
                counts["done before"] += 1
            found, cut = examine(folder, len(log.read_text().splitlines()))
            counts["episodes"] += found
            counts["cut while recording or joining"] += cut
    return counts


if __name__ == "__main__":
    try:
        print(run(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0))  # noqa: T201
    except DatasetError as error:
        sys.exit(str(error))
