import os
import signal
import subprocess
import sys
import time

from armflow.launch.pool import run_jobs


def square(number: int) -> int:
    return number * number


def stumble(number: int) -> int:
    if number == 1:
        raise ValueError("one is not allowed")
    if number == 2:
        os._exit(9)
    return number


def dawdle(folder: str) -> str:
    try:
        time.sleep(60)
    finally:
        with open(os.path.join(folder, f"closed-{os.getpid()}"), "w") as file:
            file.write("closed")
    return folder


def test_every_job_comes_back_once():
    assert sorted(run_jobs(square, range(7), 2, lambda job, why: -1)) == [0, 1, 4, 9, 16, 25, 36]


def test_more_processes_than_jobs_is_fine_and_no_job_too():
    assert list(run_jobs(square, [3], 4, lambda job, why: -1)) == [9]
    assert list(run_jobs(square, [], 2, lambda job, why: -1)) == []


def test_exceptions_and_dead_processes_become_results_and_the_rest_goes_on():
    results = dict(run_jobs(stumble_named, range(5), 2, lambda job, why: (job, why)))
    assert results[1] == "exception: ValueError: one is not allowed"
    assert results[2] == "crash: the process ended with code 9"
    assert [results[number] for number in (0, 3, 4)] == [0, 3, 4]


def stumble_named(number: int) -> tuple[int, int]:
    return number, stumble(number)


def test_ctrl_c_lets_the_processes_close_their_files(tmp_path):
    code = (
        "from armflow.launch.pool import run_jobs; from tests.launch.test_pool import dawdle;"
        f"list(run_jobs(dawdle, [{str(tmp_path)!r}] * 2, 2, lambda job, why: why))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)
    time.sleep(3.0)
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert len(list(tmp_path.glob("closed-*"))) == 2, complaint.decode()
