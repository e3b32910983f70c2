"""A pool of processes that loses no job: whatever a job dies of becomes its result.

`concurrent.futures` gives up the whole pool when one process dies; an evaluation has to count that and go on.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

__all__ = ["run_jobs"]

STOP_SECONDS = 5.0  # a process gets this long to close its files after Ctrl-C


@dataclass
class _Worker:
    process: Any
    connection: Connection
    job: Any = None


def run_jobs(
    work: Callable[[Any], Any], jobs: Iterable[Any], count: int, on_error: Callable[[Any, str], Any]
) -> Iterator[Any]:
    """Yield `work(job)` of every job as they finish, from `count` processes.

    Args:
        work: A function that processes can import; runs there.
        jobs: What to do, started in this order; they travel by pickle.
        count: Processes, at least 1.
        on_error: Makes a result out of a job and one line on what it died of; runs here.
    """
    waiting = deque(jobs)
    workers: list[_Worker] = []
    try:
        workers += [_start(work) for _ in range(min(count, len(waiting)))]
        for worker in workers:
            _give(worker, waiting)
        while busy := [worker for worker in workers if worker.job is not None]:
            ready = wait([worker.connection for worker in busy])
            for worker in [one for one in busy if one.connection in ready]:
                job, worker.job = worker.job, None
                result, error = _receive(worker)
                if error is not None and not worker.process.is_alive():
                    workers.remove(worker)
                    if waiting:
                        workers.append(worker := _start(work))
                _give(worker, waiting)
                yield on_error(job, error) if error is not None else result
    finally:
        _stop(workers)


def _start(work: Callable[[Any], Any]) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    # A child starts deaf to Ctrl-C (it inherits that), so that one in mid-import ends quietly.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, waiting: deque) -> None:
    if waiting and worker.process.is_alive():
        worker.job = waiting.popleft()
        worker.connection.send(worker.job)


def _receive(worker: _Worker) -> tuple[Any, str | None]:
    try:
        return worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(STOP_SECONDS)
        return None, f"crash: the process ended with code {worker.process.exitcode}"


def _stop(workers: list[_Worker]) -> None:
    """Let idle processes end by closing their pipes; interrupt busy ones so that they close their files."""
    for worker in workers:
        if worker.job is not None and worker.process.is_alive():
            _interrupt(worker.process)
        worker.connection.close()
    for worker in workers:
        worker.process.join(STOP_SECONDS)
        if worker.process.is_alive():
            worker.process.terminate()


def _interrupt(process: Any) -> None:
    if process.pid is not None:
        os.kill(process.pid, signal.SIGINT)


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    """Answer jobs until the pipe closes; runs in the child."""
    signal.signal(signal.SIGINT, _interrupt_once)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            job = connection.recv()
            try:
                answer = work(job), None
            except Exception as error:  # noqa: BLE001 - any bug in an episode is counted as its result
                answer = None, f"exception: {type(error).__name__}: {error}"
            connection.send(answer)
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _end_with_parent() -> None:
    """End at once when the process that hands out the jobs was killed: nobody waits for the answer."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _interrupt_once(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not break the closing of files
    raise KeyboardInterrupt
