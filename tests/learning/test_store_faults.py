"""Damage is found and named, repaired as far as it can be, and never takes a whole episode with it."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from armflow.learning.files import WriteError, replacing, write_json
from armflow.learning.store import DatasetError, DatasetWriter, Recording, infer_schema, open_dataset
from armflow.learning.store.check import check
from armflow.learning.store.repair import repair
from tests.learning.store_samples import assert_same, make_dataset, make_recording, make_schema

DATA = "data/chunk-000/file-000.parquet"
DEPTH = "videos/observation.depth.front/chunk-000/file-000.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


@pytest.fixture
def folder(tmp_path):
    return make_dataset(tmp_path / "set", 3)


@pytest.fixture
def plain(tmp_path):
    return make_dataset(tmp_path / "set", 3, pictures=False)


def change_column(path: Path, name: str, row: int, value: object) -> None:
    """Write a data file again with one value changed, one row group an episode as before."""
    table = pq.read_table(path)
    values = table[name].to_pylist()
    values[row] = value
    table = table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))
    groups = pq.ParquetFile(path)
    sizes = [groups.metadata.row_group(i).num_rows for i in range(groups.num_row_groups)]
    with pq.ParquetWriter(path, table.schema) as writer:
        for first, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False):
            writer.write_table(table.slice(first, size))


def flip(path: Path, at: int) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))


WRONG = [
    ("index", 7, 99, "episode 1, frame 2, index: is 99, not 7"),
    ("episode_index", 12, 1, "episode 2, frame 1, episode_index: is 1, not 2"),
    ("frame_index", 4, 5, "episode 0, frame 4, frame_index: is 5, not 4"),
    ("task_index", 5, 2, "episode 1, frame 0, task_index: is 2, not 1"),
    ("timestamp", 8, 0.45, "episode 1, frame 3, timestamp: is 0.4500 s, not 0.3000 s at 10 Hz"),
    ("action", 17, [0.0, float("nan")], "episode 2, frame 6, action: 1 of 7 frames hold NaN or infinity"),
]


@pytest.mark.parametrize(("name", "row", "value", "said"), WRONG, ids=[case[0] for case in WRONG])
def test_check_names_episode_and_frame_of_wrong_rows(plain, name, row, value, said):
    change_column(plain / DATA, name, row, value)
    findings = [str(finding) for finding in check(plain)]
    assert any(said in finding for finding in findings), findings


def test_check_finds_a_gap_in_time(tmp_path):
    arrays = {"action": np.zeros((5, 2), np.float32)}
    recording = Recording(arrays, np.array([0.0, 0.1, 0.2, 0.7, 0.8]), "")
    with DatasetWriter(tmp_path / "set", infer_schema(recording, 10), durable=False) as writer:
        writer.add(recording)
    (finding,) = check(tmp_path / "set")
    assert str(finding).endswith("episode 0, frame 3, stamp: a gap of 0.500 s before it, 1 in all")


def test_check_finds_pictures_that_cannot_be_decoded(folder):
    data = bytearray((folder / DEPTH).read_bytes())
    first, last = len(data) * 4 // 10, len(data) * 5 // 10  # within pictures 5 to 10, which are episode 1
    data[first:last] = bytes(last - first)
    (folder / DEPTH).write_bytes(data)
    findings = list(check(folder))
    assert any("changed since it was written" in finding.problem for finding in findings)
    undecoded = [finding for finding in findings if "cannot be decoded" in finding.problem]
    assert [finding.episode for finding in undecoded] == [1]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_single_changed_byte_of_depth_is_found_in_its_episode_and_taken_out(folder, part):
    path = folder / DEPTH
    flip(path, int(path.stat().st_size * part))
    named = [finding for finding in check(folder) if finding.frame is not None]
    assert [finding.path for finding in named] == [DEPTH]
    repair(folder)
    dataset = open_dataset(folder)
    assert len(dataset.episodes) == named[0].episode < 3
    for index in range(len(dataset.episodes)):
        assert_same(dataset.read(index), make_recording(index))


def test_check_finds_statistics_that_do_not_match(plain):
    stats = json.loads((plain / "meta/stats.json").read_text())
    stats["action"]["std"][0] *= 1.01
    write_json(plain / "meta/stats.json", stats)
    (finding,) = check(plain)
    assert (finding.path, finding.field) == ("meta/stats.json", "action")
    assert finding.problem.startswith("std[0] is")


def test_a_dataset_in_order_has_no_findings_and_repair_changes_nothing(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert list(check(folder)) == []
    assert repair(folder) == []
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_repair_keeps_the_longest_prefix_and_loses_no_file(folder):
    file = pq.ParquetFile(folder / DATA)
    flip(folder / DATA, file.metadata.row_group(1).column(0).data_page_offset + 60)
    damaged = (folder / DATA).read_bytes()
    done = repair(folder)
    assert any("took out episodes 1 to 2" in line for line in done)
    dataset = open_dataset(folder)
    assert_same(dataset.read(0), make_recording(0))
    assert len(dataset.episodes) == 1
    assert list(check(folder)) == []
    assert (folder / "damaged" / DATA).read_bytes() == damaged
    with DatasetWriter(folder, make_schema(), durable=False) as writer:
        writer.add(make_recording(1))
    assert_same(open_dataset(folder).read(1), make_recording(1))


@pytest.mark.parametrize(
    "name", [EPISODES, "meta/info.json", "meta/tasks.parquet", "meta/stats.json", "meta/digests.json"]
)
def test_repair_restores_each_file_of_meta_from_the_others(folder, name):
    flip(folder / name, (folder / name).stat().st_size // 3)
    flip(folder / name, (folder / name).stat().st_size - 6)
    (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    repair(folder)
    assert list(check(folder)) == []
    dataset = open_dataset(folder)
    for index in range(3):
        assert_same(dataset.read(index), make_recording(index))


def test_repair_sets_damaged_finished_episodes_aside(tmp_path):
    writer = DatasetWriter(tmp_path / "set", make_schema(pictures=False), durable=False)
    for index in range(3):
        writer.add(make_recording(index, pictures=False))
    del writer  # as after a crash: never closed
    flip(tmp_path / "set/recording/episode-000001/data.parquet", 300)
    done = repair_after_crash(tmp_path / "set")
    assert any("joined 1 finished episodes" in line for line in done)
    assert len(open_dataset(tmp_path / "set").episodes) == 1
    assert (tmp_path / "set/damaged/recording/episode-000002/seal.json").is_file()


def repair_after_crash(folder: Path) -> list[str]:
    """Repair in a process of its own: the lock of a writer that was dropped here may still be held."""
    code = f"from armflow.learning.store.repair import repair; print('\\n'.join(repair({str(folder)!r})))"
    (folder / "recording/lock").unlink()
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_writer_asks_for_repair_before_it_adds_to_damaged_episodes(tmp_path):
    make_dataset(tmp_path / "set", 1, pictures=False)
    (tmp_path / "set/recording/episode-000001").mkdir(parents=True)
    with pytest.raises(DatasetError, match="run `armflow data repair` first"):
        DatasetWriter(tmp_path / "set", make_schema(pictures=False))


def test_a_killed_writer_loses_at_most_the_running_episode():
    done = subprocess.run(
        [sys.executable, "-m", "tests.learning.store_kills", "10"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_1000_damaged_datasets_are_read_or_refused_without_crash_hang_or_runaway_memory():
    done = subprocess.run(
        [sys.executable, "-m", "tests.learning.store_mutations", "1000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.replace("'", '"'))["refused"] > 300


@pytest.fixture
def small_files():
    """Any file that grows beyond 40 kB is refused, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_clear_error_and_the_episodes_before_are_intact(folder, small_files):
    writer = DatasetWriter(folder, make_schema(), durable=False)
    small_files()
    with pytest.raises(WriteError, match="cannot write"):
        writer.add(make_recording(3, length=60))
    writer.add(make_recording(3))
    dataset = open_dataset(folder)
    for index in range(4):
        assert_same(dataset.read(index), make_recording(index))


def test_a_full_disk_while_joining_loses_nothing(folder, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    writer = DatasetWriter(folder, make_schema(), durable=False)
    writer.add(make_recording(3))
    with monkeypatch.context() as patch:
        patch.setattr("armflow.learning.store.compact.join_videos", full)
        with pytest.raises(WriteError, match="No space left on device"):
            writer.close()
    assert_same(open_dataset(folder).read(3), make_recording(3))
    assert repair(folder) == ["joined 1 finished episodes"]
    assert list(check(folder)) == []
    assert_same(open_dataset(folder).read(3), make_recording(3))


def break_off(path: Path) -> None:
    """Write half of a file's successor, then run out of disk."""
    with replacing(path) as part:
        part.write_text("half")
        raise OSError("disk full")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(WriteError, match="disk full"):
        break_off(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_in_the_way_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write"):
        DatasetWriter(tmp_path / "file", make_schema())


HOSTILE = [
    ({"codebase_version": "v2.1"}, "codebase_version: is 'v2.1'"),
    ({"features": []}, "features: must be an object"),
    ({"fps": "ten"}, "fps: is 'ten'"),
    ({"fps": 0}, "fps is 0"),
    ({"total_episodes": 10**9}, "total_episodes: is 1000000000"),
    ({"total_frames": 4}, "total_frames: is 4; the episodes have 18"),
    ({"data_path": "../../{chunk_index}/secrets"}, "does not name a file inside the dataset"),
    ({"data_path": "data/{chunk_index:99999999d}"}, "does not name a file inside the dataset"),
    ({"data_path": "data/{chunk_index.__class__}"}, "does not name a file inside the dataset"),
    ({"features": {"a": {"dtype": "video", "shape": [10**6, 10**6, 3]}}}, "at most"),
    ({"features": {"../a": {"dtype": "float32", "shape": [2]}}}, "feature name"),
]


@pytest.mark.parametrize(("changes", "said"), HOSTILE, ids=lambda value: str(value)[:50])
def test_hostile_headers_are_refused_by_name(plain, changes, said):
    info = json.loads((plain / "meta/info.json").read_text())
    write_json(plain / "meta/info.json", info | changes)
    with pytest.raises(DatasetError) as error:
        open_dataset(plain)
    assert said in str(error.value)
