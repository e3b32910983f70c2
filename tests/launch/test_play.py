import io
import os
import pty
import sys

import numpy as np
import pytest

from armflow.launch import cli, play, play_episode
from armflow.launch.keyboard import NoTerminalError, Steering, TerminalKeys, open_terminal, picture_text
from armflow.launch.play import Record, in_order, record_by_hand
from armflow.launch.play_episode import Played, PlaySpec, close_environments, dataset_schema, play_one
from armflow.learning.store import DatasetWriter, metres, open_dataset

FRAMES = 12


@pytest.fixture(autouse=True)
def short_episodes(monkeypatch):
    """Episodes of a second and a half, played in this process."""
    monkeypatch.setattr(play_episode, "MOST_FRAMES", FRAMES)
    monkeypatch.setattr("armflow.launch.pool.run_jobs", lambda work, jobs, count, broken: map(work, jobs))


@pytest.fixture(scope="module", autouse=True)
def clean_end():
    yield
    close_environments()


def record(out, *options: str) -> int:
    return cli.main(["play", "record", "--out", str(out), *options])


def test_scripted_play_becomes_a_dataset_that_says_what_it_holds(tmp_path, capsys):
    assert record(tmp_path / "set", "--episodes", "2", "--seed", "7") == 0
    assert "2 episodes, 24 frames" in capsys.readouterr().out
    dataset = open_dataset(tmp_path / "set")
    assert [(one.length, one.task) for one in dataset.episodes] == [(FRAMES, "play at the table")] * 2
    schema = dataset.schema
    assert (schema.fps, schema.robot, schema.extra["environment"]) == (8, "panda", "PlayTable")
    assert schema.features["observation.state"].names[4] == "drawer"
    assert schema.extra["goal"] == [4, 5, 7, 8, 9, 13, 14]
    recording = dataset.read(0)
    assert recording.arrays["observation.state"].shape == (FRAMES, 18)
    assert recording.arrays["action"].shape == (FRAMES, 4)
    assert np.allclose(np.diff(recording.stamps), 0.125)


def test_an_episode_depends_on_its_seed_alone():
    first, again, other = (play_one(PlaySpec("PlayTable", seed)).recording for seed in (1, 1, 2))
    assert all(np.array_equal(first.arrays[name], again.arrays[name]) for name in first.arrays)
    assert not np.array_equal(first.arrays["action"], other.arrays["action"])


def test_a_dataset_that_is_there_is_continued(tmp_path, capsys):
    assert record(tmp_path / "one", "--episodes", "3") == 0
    assert record(tmp_path / "two", "--episodes", "1") == 0
    assert record(tmp_path / "two", "--episodes", "3") == 0
    assert "1 of 3 episodes are in" in capsys.readouterr().out
    for index in range(3):
        one, two = (open_dataset(tmp_path / name).read(index) for name in ("one", "two"))
        assert np.array_equal(one.arrays["action"], two.arrays["action"])


def test_ctrl_c_keeps_finished_episodes(tmp_path, monkeypatch, capsys):
    def interrupted(work, jobs, count, broken):
        jobs = iter(jobs)
        yield work(next(jobs))
        yield work(next(jobs))
        raise KeyboardInterrupt

    monkeypatch.setattr("armflow.launch.pool.run_jobs", interrupted)
    assert record(tmp_path / "set", "--episodes", "9") == cli.INTERRUPTED
    assert len(open_dataset(tmp_path / "set").episodes) == 2
    assert "2 episodes" in capsys.readouterr().out


def test_a_broken_episode_is_told_and_left_out(tmp_path, monkeypatch, capsys):
    def breaking(work, jobs, count, broken):
        return (broken(job, "crash: code 9") if job.seed == 1 else work(job) for job in jobs)

    monkeypatch.setattr("armflow.launch.pool.run_jobs", breaking)
    assert record(tmp_path / "set", "--episodes", "3") == 0
    printed = capsys.readouterr().out
    assert "seed 1: crash: code 9" in printed
    assert "1 broken" in printed
    assert len(open_dataset(tmp_path / "set").episodes) == 2


def test_episodes_are_written_in_the_order_of_their_seeds():
    specs = [PlaySpec("PlayTable", seed) for seed in range(5)]
    results = (Played(specs[seed], None) for seed in (2, 0, 1, 4, 3))
    assert [played.spec.seed for played in in_order(results, specs)] == [0, 1, 2, 3, 4]


def test_pictures_are_recorded_with_their_camera(tmp_path):
    assert record(tmp_path / "set", "--episodes", "1", "--images", "--camera-size", "64", "64") == 0
    dataset = open_dataset(tmp_path / "set")
    recording, camera = dataset.read(0), dataset.schema.extra["cameras"]["bench"]
    assert recording.arrays["observation.images.bench"].shape == (FRAMES, 64, 64, 3)
    depth = metres(recording.arrays["observation.depth.bench"], camera["depth_scale"])
    assert 0.5 < np.nanmedian(depth) < 1.5
    assert np.shape(camera["intrinsics"]) == (3, 3)
    assert np.shape(camera["extrinsics"]) == (4, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "Push"], "no task to play 'Push'; choose from BlockPush, PlayTable"),
        (["--task", "PlayTable", "--arm", "ur5"], "no arm for PlayTable 'ur5'; choose from auto, panda"),
        (["--source", "dance"], "no source 'dance'; choose from scripted, keyboard"),
        (["--source", "keyboard"], "needs a terminal"),
        (["--workers", "0"], "--workers is 0"),
        (["--episodes", "0"], "--episodes is 0"),
    ],
)
def test_what_is_wrong_is_one_line(options, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert record(tmp_path / "set", *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


class Typist:
    """Keys pressed one a call."""

    def __init__(self, keys: str) -> None:
        self.keys = [{"\n": "enter"}.get(key, key) for key in keys]

    def pressed(self) -> list[str]:
        return [self.keys.pop(0)] if self.keys else ["q"]


def test_play_by_hand_is_kept_thrown_away_or_ended(tmp_path):
    specs = [PlaySpec("PlayTable", seed) for seed in range(3)]
    waits = []
    with DatasetWriter(tmp_path / "set", dataset_schema(specs[0])) as writer:
        kept = record_by_hand(writer, specs, Typist("ww \nwwxddd\nwq"), waits.append, None)
    recordings = [open_dataset(tmp_path / "set").read(index) for index in range(2)]
    assert kept == 2
    assert [recording.length for recording in recordings] == [3, 3]
    assert recordings[0].arrays["action"][:, 0].tolist() == pytest.approx([0.6] * 3)
    assert recordings[0].arrays["action"][:, 3].tolist() == [1, 1, -1]
    assert all(0 <= wait <= 0.125 for wait in waits)


def test_keys_steer_both_tasks_and_wear_off():
    table, push = Steering("PlayTable"), Steering("BlockPush")
    assert table.action(["r"])[2] > 0
    assert push.action(["a"]).tolist() == pytest.approx([0, 0.015])
    for _ in range(10):
        last = table.action([])
    assert last.tolist() == [0, 0, 0, 1]
    table.action(["q"])
    assert table.command == "q"


def test_a_terminal_gives_letters_and_arrows():
    ours, theirs = pty.openpty()
    os.write(ours, b"w\x1b[A\x1b[D \n")
    keys = TerminalKeys(theirs)
    found = []
    while len(found) < 5:
        found += keys.pressed()
    assert found == ["w", "w", "a", " ", "enter"]
    os.close(ours)
    os.close(theirs)


def test_without_a_terminal_there_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(NoTerminalError, match="--source scripted"), open_terminal():
        pass


def test_a_picture_becomes_two_rows_a_line():
    text = picture_text(np.zeros((4, 3, 3), np.uint8))
    assert text.count("\n") == 1
    assert text.count("▀") == 6


def test_the_light_list_of_tasks_agrees_with_the_heavy_ones():
    from armflow.envs.scripted import DEMONSTRATORS
    from armflow.envs.tasks import PLAY_TASKS
    from armflow.launch.play_tasks import PLAY_ARMS, find_play_task

    assert set(PLAY_ARMS) == set(PLAY_TASKS)
    assert set(DEMONSTRATORS) <= set(PLAY_ARMS)
    for name, arm in PLAY_ARMS.items():
        assert (find_play_task(name).robot, PLAY_TASKS[name].arm) == (arm, arm)
    assert Record().task in PLAY_ARMS
    assert play.SOURCES == ("scripted", "keyboard")
