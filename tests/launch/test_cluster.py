import dataclasses
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from armflow.launch import cli, cluster, play_episode, pool
from armflow.launch.cluster import ClusterError, job_runner, run_on_cluster
from armflow.launch.evaluate import Evaluate, run_specs
from armflow.launch.play import Record
from armflow.launch.play_episode import Played, PlaySpec, play_one
from tests.launch.test_pool import square, stumble_named

needs_ray = pytest.mark.skipif(
    cluster.util.find_spec("ray") is None, reason="ray is not installed: pip install 'armflow[ray]'"
)


@pytest.fixture(scope="module")
def ray():
    """A cluster of this machine with two processors, for all tests of this file: starting it takes long."""
    with cluster._joined("local", 2) as ray:
        yield ray
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray lets go of its processes without waiting for their end
        gc.collect()


def play_short(spec: PlaySpec) -> Played:
    play_episode.MOST_FRAMES = 12
    return play_one(spec)


def facts(results) -> dict:
    """What episodes came to, apart from how long they took on the clock."""
    timeless = {"seconds_wall": 0.0, "latency": {}}
    return {spec: dataclasses.replace(result.outcome, **timeless) for spec, result in results}


@needs_ray
def test_every_job_comes_back_once(ray):
    assert sorted(run_on_cluster("local", square, range(7), 2, lambda job, why: -1)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(run_on_cluster("local", square, [], 2, lambda job, why: -1)) == []


@needs_ray
def test_more_workers_than_processors_is_fine(ray):
    assert sorted(run_on_cluster("local", square, range(4), 9, lambda job, why: -1)) == [0, 1, 4, 9]


@needs_ray
def test_exceptions_and_dead_workers_cost_their_job_only(ray):
    results = dict(run_on_cluster("local", stumble_named, range(5), 2, lambda job, why: (job, why)))
    assert results[1] == "exception: ValueError: one is not allowed"
    assert results[2] == "crash: the worker on the cluster ended (ActorDiedError)"
    assert [results[number] for number in (0, 3, 4)] == [0, 3, 4]


@needs_ray
def test_recordings_are_the_same_bit_for_bit_as_from_processes(ray):
    specs = [PlaySpec("BlockPush", seed) for seed in (3, 4, 5)]
    here, there = (
        {played.spec: played.recording for played in run(play_short, specs, 2, play_episode.broken)}
        for run in (pool.run_jobs, job_runner("local"))
    )
    for spec in specs:
        for name, array in here[spec].arrays.items():
            assert np.array_equal(array, there[spec].arrays[name], equal_nan=True)
            assert there[spec].arrays[name].flags.writeable


@needs_ray
def test_evaluations_are_the_same_as_from_processes(ray, monkeypatch):
    specs = Evaluate(task=("BlockPush",), controller="random", episodes=3, max_seconds=1.0).specs()
    here, there = facts(run_specs(specs, 2)), facts(run_specs(specs, 2, "local"))
    assert here == there
    assert all(outcome.chunks for outcome in here.values())


@needs_ray
def test_leaving_early_frees_the_processors(ray):
    jobs = run_on_cluster("local", square, range(50), 2, lambda job, why: -1)
    next(jobs)
    jobs.close()
    assert sorted(run_on_cluster("local", square, range(3), 2, lambda job, why: -1)) == [0, 1, 4]


@needs_ray
def test_another_version_on_a_machine_is_refused(ray, monkeypatch, caplog):
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    monkeypatch.setattr(cluster, "SPARE_STARTS", 0)
    with caplog.at_level(logging.ERROR), pytest.raises(ClusterError, match=r"this machine 0\.0\.1; install the same"):
        list(run_on_cluster("local", square, range(3), 1, lambda job, why: -1))


@needs_ray
def test_ctrl_c_keeps_what_is_finished_and_ends_ray(tmp_path):
    """The whole way, in a session of its own: a cluster is started, interrupted, and leaves nothing behind."""
    command = [sys.executable, "-m", "armflow.launch.cli", "play", "record", "--cluster", "local"]
    command += ["--task", "BlockPush", "--episodes", "500", "--workers", "1", "--out", str(tmp_path / "set")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    finished = tmp_path / "set" / "recording"  # joined with the others only at the end
    deadline = time.monotonic() + 200
    while not list(finished.glob("episode-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == cli.INTERRUPTED, complaint.decode()
    assert complaint.decode().endswith("armflow: stopped\n")
    assert " episodes, " in said.decode()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_without_ray_there_is_one_clear_error(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cluster.util, "find_spec", lambda name: None)
    for words in (["eval", "--task", "Push", "--cluster"], ["play", "record", "--cluster", "local"]):
        assert cli.main([*words, "--out", str(tmp_path / "out")]) == cli.REFUSED
        assert "pip install 'armflow[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_processes_serve_where_no_cluster_is_asked_for():
    assert job_runner(None) is pool.run_jobs


@pytest.mark.parametrize(
    ("words", "meant"),
    [([], None), (["--cluster"], "auto"), (["--cluster", "local"], "local"), (["--cluster", "h:6379"], "h:6379")],
)
def test_the_address_may_be_left_away(words, meant):
    assert cli.parse(["eval", *words]).cluster == meant
    assert cli.parse(["play", "record", *words]).cluster == meant


@pytest.mark.parametrize("address", ["everywhere", "host", "host:x", ":6379", "host:99999", "ray://host:10001"])
def test_an_address_that_cannot_be_meant_is_refused(address, monkeypatch):
    monkeypatch.setattr(cluster.util, "find_spec", lambda name: True)
    with pytest.raises(ClusterError, match="must be auto, local, or HOST:PORT"):
        job_runner(address)


def test_a_head_node_that_does_not_answer_is_said_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(ClusterError, match=r"cannot join the Ray cluster '127\.0\.0\.1:\d+'"):
            cluster._check_answers(*taken.getsockname())


def test_the_dataset_option_is_the_evaluations_option():
    kinds = {field.name: field.type for owner in (Evaluate, Record) for field in dataclasses.fields(owner)}
    assert kinds["cluster"] is cluster.ClusterOption
