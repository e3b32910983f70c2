"""Jobs on the machines of a Ray cluster, with the promises of `pool`: a job that dies is counted, and the rest goes on.

Each worker is a process with one thread on one processor; it answers one job at a time. Jobs travel by pickle and by
name, so armflow of the same version has to be installed on every machine. A job should write no files: they would lie
on the machine that happened to do it, and Ctrl-C ends a worker at once.
"""

import contextlib
import logging
import os
import pickle
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import util
from typing import Annotated, Any

from tyro.constructors import PrimitiveConstructorSpec

from armflow import __version__
from armflow.launch import pool
from armflow.launch.threads import VARIABLES, use_one_thread
from armflow.robot.errors import StackError

__all__ = ["ClusterError", "ClusterOption", "job_runner", "run_on_cluster"]

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
NOTICE_SECONDS = 60.0  # without an answer, until we say what we wait for
SPARE_STARTS = 3  # workers that may fail to start, one after the other, before we stop hiring


class ClusterError(StackError):
    """There is no Ray, no cluster, or none of its machines can work for us."""


def _one_address(words: list[str]) -> str:
    if len(words) > 1:
        raise ValueError("one address at most")
    return words[0] if words else "auto"


ClusterOption = Annotated[
    str | None,
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[ADDRESS]",
        instance_from_str=_one_address,
        is_instance=lambda value: value is None or isinstance(value, str),
        str_from_instance=lambda value: [] if value is None else [value],
    ),
]
"""`--cluster` alone (auto: the Ray that runs here), with an address, or "local"; None where it is absent."""


def job_runner(cluster: str | None) -> Callable[..., Iterator[Any]]:
    """Return `pool.run_jobs`, or what does the same on a cluster.

    Args:
        cluster: "auto" for the Ray that runs on this machine, "local" to start one for these jobs, the address of a
            head node such as "10.0.0.1:6379", or None for processes of this machine.

    Raises:
        ClusterError: A cluster is asked for, and ray is not installed or the address is not of a kind we know.
    """
    if cluster is None:
        return pool.run_jobs
    if util.find_spec("ray") is None:
        raise ClusterError("--cluster needs Ray: pip install 'armflow[ray]', or leave it away to use processes")
    if cluster not in ("auto", "local"):
        _host_and_port(cluster)
    return partial(run_on_cluster, cluster)


def run_on_cluster(
    address: str,
    work: Callable[[Any], Any],
    jobs: Iterable[Any],
    count: int,
    on_error: Callable[[Any, str], Any],
) -> Iterator[Any]:
    """Yield `work(job)` of every job as they finish, from `count` workers on Ray.

    A cluster with fewer free processors is used as far as it goes; more workers join as it gets room.

    Args:
        address: As for `job_runner`. A Ray that this process has joined already is used, and left joined.
        work: A function that the workers can import; runs there.
        jobs: What to do, started in this order.
        count: Workers, at least 1.
        on_error: Makes a result out of a job and one line on what it died of; runs here.

    Raises:
        ClusterError: The cluster cannot be joined, is lost, or no worker can start on it.
    """
    waiting = deque(jobs)
    if not waiting:
        return
    with _joined(address, count) as ray:
        crew = _Crew(ray, work, waiting)
        try:
            for _ in range(min(count, len(waiting))):
                crew.hire()
            while crew.waiting or crew.busy:
                for job, answer, error in crew.news():
                    yield answer if error is None else on_error(job, error)
        finally:
            crew.dismiss()


class _Worker:
    """Lives in a process of the cluster."""

    def __init__(self, work: Callable[[Any], Any], folder: str) -> None:
        use_one_thread()
        with contextlib.suppress(OSError):  # files named relative to it, such as ./arms, where the folder is shared
            os.chdir(folder)
        self._work = work

    def greet(self) -> tuple[str, str]:
        """Return the name of the machine and its version of armflow."""
        return socket.gethostname(), __version__

    def do(self, job: Any) -> bytes:
        """Return a pickle of answer and error: what it holds is then the reader's own, unlike Ray's shared memory."""
        try:
            return pickle.dumps((self._work(job), None), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - any bug in an episode is counted as its result
            return pickle.dumps((None, f"exception: {type(error).__name__}: {error}"))


class _Crew:
    """Workers that were asked for, and what each is busy with."""

    def __init__(self, ray: Any, work: Callable[[Any], Any], waiting: deque) -> None:
        self._ray, self.waiting = ray, waiting
        environment = {"env_vars": dict.fromkeys(VARIABLES, "1")}
        actor = ray.remote(num_cpus=1, max_restarts=0, runtime_env=environment)(_Worker)
        self._start = partial(actor.remote, work, os.getcwd())
        self.busy: dict[Any, tuple[Any, Any]] = {}  # answer to come -> worker and job
        self._coming: dict[Any, Any] = {}  # greeting to come -> worker
        self._failed_starts = 0

    def hire(self) -> None:
        """Ask for one more worker; it gets a job when it is there, so that none waits behind a full cluster."""
        worker = self._start()
        self._coming[worker.greet.remote()] = worker

    def news(self) -> list[tuple[Any, Any, str | None]]:
        """Wait for something to happen, give out jobs, and return the jobs that ended: job, answer, error.

        Raises:
            ClusterError: Nobody is left and nobody can be hired, or the cluster is lost.
        """
        try:
            ready, _ = self._ray.wait([*self.busy, *self._coming], timeout=NOTICE_SECONDS)
        except self._ray.exceptions.RayError as error:
            raise ClusterError(f"the cluster is lost: {_line(error)}") from error
        if not ready and not self.busy:
            logger.warning("no worker yet: waiting for a free processor on the cluster")
        ended = []
        for answer in ready:
            if answer in self._coming:
                self._welcome(answer)
            else:
                ended.append(self._take(answer))
        return ended

    def dismiss(self) -> None:
        """End every worker."""
        for worker in [*self._coming.values(), *(worker for worker, _ in self.busy.values())]:
            self._ray.kill(worker)

    def _welcome(self, greeting: Any) -> None:
        worker = self._coming.pop(greeting)
        problem = self._problem(greeting)
        if problem is None:
            self._failed_starts = 0
            self._give(worker)
            return
        self._ray.kill(worker)
        self._failed_starts += 1
        logger.warning("a worker did not start: %s", problem)
        if self._failed_starts <= SPARE_STARTS:
            self.hire()
        elif not self.busy and not self._coming:
            raise ClusterError(f"no worker starts on the cluster: {problem}")

    def _problem(self, greeting: Any) -> str | None:
        try:
            machine, version = self._ray.get(greeting)
        except self._ray.exceptions.RayError as error:
            return f"{_line(error)}; is armflow installed on every machine?"
        if version != __version__:
            return f"{machine} has armflow {version}, and this machine {__version__}; install the same on both"
        return None

    def _give(self, worker: Any) -> None:
        """Give a job, or end a worker that nobody needs: its processor is free for others then."""
        if self.waiting:
            job = self.waiting.popleft()
            self.busy[worker.do.remote(job)] = worker, job
        else:
            self._ray.kill(worker)

    def _take(self, answer: Any) -> tuple[Any, Any, str | None]:
        worker, job = self.busy.pop(answer)
        try:
            result, error = pickle.loads(self._ray.get(answer))
        except self._ray.exceptions.RayError as problem:
            self._ray.kill(worker)
            if len(self.waiting) > len(self._coming):
                self.hire()
            return job, None, f"crash: the worker on the cluster ended ({type(problem).__name__})"
        self._give(worker)
        return job, result, error


def _line(error: Exception) -> str:
    """Ray tells stories; the last line says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


@contextlib.contextmanager
def _joined(address: str, count: int) -> Iterator[Any]:
    """Join a cluster for a while; one that was started for us ends with it and leaves no files."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave the choice of GPUs to the user, unwarned
    import ray

    if ray.is_initialized():
        yield ray
        return
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {}
        if address == "local":
            # Sockets lie in this folder, and their paths must be short.
            folder = tempfile.mkdtemp(prefix="armflow-", dir="/tmp" if os.path.isdir("/tmp") else None)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            options = {"num_cpus": count, "include_dashboard": False, "_temp_dir": folder}
        elif address != "auto":
            _check_answers(*_host_and_port(address))
        stack.callback(ray.shutdown)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except Exception as error:  # Ray raises just that when its processes take longer than 30 s to start
            raise ClusterError(f"cannot join the Ray cluster {address!r}: {_hint(address, error)}") from error
        yield ray


def _hint(address: str, error: Exception) -> str:
    if address == "auto" and isinstance(error, ConnectionError):
        return "none runs on this machine; start one with `ray start --head`, or use --cluster local"
    return _line(error)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host or not 0 < int(port) < 65536:
        raise ClusterError(f"--cluster is {address!r}; it must be auto, local, or HOST:PORT of Ray's head node")
    return host.strip("[]"), int(port)


def _check_answers(host: str, port: int) -> None:
    """Ask first: Ray itself waits for minutes when nobody is there.

    Raises:
        ClusterError: Nobody answers.
    """
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(f"cannot join the Ray cluster '{host}:{port}': {error.strerror or error}") from error
