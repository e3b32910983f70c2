"""What is written reads back, in the layout that other readers expect."""

import json
import shutil

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from armflow.learning.store import (
    DatasetError,
    DatasetWriter,
    Feature,
    Recording,
    Schema,
    encode_depth,
    infer_schema,
    load_table,
    metres,
    open_dataset,
)
from armflow.learning.store.stats import combine, number_statistics
from armflow.robot.errors import ChoiceError, ShapeError
from tests.learning.store_samples import EXTRA, FPS, assert_same, make_dataset, make_recording, make_schema


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("store") / "set", 3)


def test_every_episode_reads_back_bit_for_bit_but_for_colour(folder):
    dataset = open_dataset(folder)
    assert [episode.length for episode in dataset.episodes] == [5, 6, 7]
    for index in range(3):
        assert_same(dataset.read(index), make_recording(index))


def test_the_schema_reads_back(folder):
    assert open_dataset(folder).schema == make_schema()


def test_finished_episodes_read_back_before_the_dataset_is_closed(tmp_path):
    writer = DatasetWriter(tmp_path / "set", make_schema(), durable=False)
    writer.add(make_recording(0))
    writer.begin("half an episode")
    assert_same(open_dataset(tmp_path / "set").read(0), make_recording(0))
    writer.close()
    assert len(open_dataset(tmp_path / "set").episodes) == 1


def test_frame_by_frame_gives_the_same_as_whole_episodes(tmp_path):
    recording = make_recording(4)
    with DatasetWriter(tmp_path / "set", make_schema()) as writer:
        writer.begin(recording.task)
        for frame in range(recording.length):
            writer.append({name: array[frame] for name, array in recording.arrays.items()}, recording.stamps[frame])
        writer.end()
    assert_same(open_dataset(tmp_path / "set").read(0), recording)


def test_a_second_session_adds_to_the_first(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "set")
    with DatasetWriter(tmp_path / "set", make_schema(), durable=False) as writer:
        writer.add(make_recording(3))
    dataset = open_dataset(tmp_path / "set")
    for index in range(4):
        assert_same(dataset.read(index), make_recording(index))
    assert dataset.table().starts.tolist() == [0, 5, 11, 18, 26]


def test_a_table_is_all_episodes_end_to_end(folder):
    table = open_dataset(folder).table(("action",))
    np.testing.assert_array_equal(
        table.arrays["action"], np.concatenate([make_recording(i).arrays["action"] for i in range(3)])
    )
    np.testing.assert_array_equal(table.episode(2)["action"], make_recording(2).arrays["action"])
    np.testing.assert_array_equal(
        table.select(np.array([2, 0])).arrays["action"][:7], make_recording(2).arrays["action"]
    )
    assert table.lengths.tolist() == [5, 6, 7]


def test_load_table_reads_datasets(folder):
    table, schema = load_table(folder, ("observation.state",))
    assert table.arrays["observation.state"].shape == (18, 4)
    assert schema.extra["environment"] == "Test"


def test_any_numbers_of_any_shape_read_back(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "observation.state": rng.normal(size=(6, 1)).astype(np.float32),
        "pose": rng.normal(size=(6, 4, 4)),
        "reward": rng.normal(size=6).astype(np.float32),
        "done": np.arange(6) == 5,
        "stack": rng.integers(-9, 9, (6, 2, 3, 4)).astype(np.int16),
    }
    recording = Recording(arrays, np.arange(6) / 20, "")
    with DatasetWriter(tmp_path / "set", infer_schema(recording, 20), durable=False) as writer:
        writer.add(recording)
    found = open_dataset(tmp_path / "set").read(0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name].reshape(array.shape), array)
        assert found.arrays[name].dtype == array.dtype


@pytest.mark.parametrize(("height", "width"), [(17, 17), (17, 33), (40, 18)])
def test_depth_of_12_bits_survives_bit_for_bit_at_any_size(tmp_path, height, width):
    codes = np.random.default_rng(0).integers(0, 4096, (12, height, width)).astype(np.uint16)
    codes[0], codes[1] = 0, 4095
    colour = np.full((12, height, width, 3), 77, np.uint8)
    recording = Recording({"observation.depth.a": codes, "observation.images.a": colour}, np.arange(12) / 15, "look")
    with DatasetWriter(tmp_path / "set", infer_schema(recording, 15), durable=False) as writer:
        writer.add(recording)
        writer.add(recording)
    dataset = open_dataset(tmp_path / "set")
    for index in range(2):
        np.testing.assert_array_equal(dataset.read(index, ["observation.depth.a"]).arrays["observation.depth.a"], codes)
        assert np.abs(dataset.read(index).arrays["observation.images.a"].astype(int) - 77).max() <= 2


def test_depth_is_12_bit_lossless_hevc_that_says_its_range(folder):
    said = json.loads((folder / "meta/info.json").read_text())["features"]["observation.depth.front"]["info"]
    assert (said["is_depth_map"], said["video.use_log"], said["video.depth_min"]) == (True, False, 0.0)
    assert said["video.depth_max"] == pytest.approx(4.095)
    with av.open(str(folder / "videos/observation.depth.front/chunk-000/file-000.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "gray12le"
        assert container.streams.video[0].codec_context.name == "hevc"
        assert container.streams.video[0].frames == 18


def test_metres_and_codes_agree_within_half_a_code():
    depth = np.array([[0.0, 0.001, 1.2344, 4.095], [np.nan, 5.0, -1.0, np.inf]])
    codes = encode_depth(depth, 0.001)
    assert codes.tolist() == [[0, 1, 1234, 4095], [0, 0, 0, 0]]
    np.testing.assert_allclose(metres(codes, 0.001)[0, 1:], depth[0, 1:], atol=0.0005)
    assert np.isnan(metres(codes, 0.001)[1]).all()


def test_the_layout_is_that_of_lerobot_v3(folder):
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 18, 3)
    assert info["splits"] == {"train": "0:3"}
    assert info["features"]["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    assert info["features"]["observation.images.front"]["shape"] == [24, 32, 3]
    data = pq.read_table(folder / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(data.column_names) == {name for name, f in info["features"].items() if f["dtype"] != "video"}
    assert data["index"].to_pylist() == list(range(18))
    assert data["episode_index"].to_pylist() == [0] * 5 + [1] * 6 + [2] * 7
    assert data["task_index"].to_pylist() == [0] * 5 + [1] * 6 + [2] * 7
    assert pq.ParquetFile(folder / "data/chunk-000/file-000.parquet").num_row_groups == 3


def test_the_table_of_contents_says_where_rows_and_pictures_are(folder):
    rows = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["dataset_to_index"] for row in rows] == [5, 11, 18]
    assert [row["tasks"] for row in rows] == [["task 0"], ["task 1"], ["task 2"]]
    key = "videos/observation.images.front"
    assert [row[f"{key}/from_timestamp"] for row in rows] == pytest.approx([0, 0.5, 1.1])
    assert [row[f"{key}/to_timestamp"] for row in rows] == pytest.approx([0.5, 1.1, 1.8])
    assert len(rows[0]["stats/action/q50"]) == 2


def test_tasks_are_a_table_whose_index_pandas_restores(folder):
    table = pq.read_table(folder / "meta/tasks.parquet")
    assert table["task"].to_pylist() == ["task 0", "task 1", "task 2"]
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_capture_times_and_camera_facts_lie_in_files_of_our_own(folder):
    ours = json.loads((folder / "meta/armflow.json").read_text())
    assert ours["cameras"] == EXTRA["cameras"]
    stamps = pq.read_table(folder / "capture/chunk-000/file-000.parquet")["stamp"].to_numpy()
    np.testing.assert_array_equal(stamps[5:11], make_recording(1).stamps)


def test_a_dataset_without_our_files_still_reads(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "set")
    shutil.rmtree(tmp_path / "set/capture")
    for name in ("armflow", "digests"):
        (tmp_path / f"set/meta/{name}.json").unlink()
    dataset = open_dataset(tmp_path / "set")
    np.testing.assert_allclose(dataset.stamps(2), np.arange(7) / FPS)
    assert dataset.read(2).arrays["observation.depth.front"].shape == (7, 24, 32)


def relabel_depth(folder, target, **facts):
    """A copy without files of our own whose info.json says something else about its depth."""
    shutil.copytree(folder, target)
    for name in ("armflow", "digests"):
        (target / f"meta/{name}.json").unlink()
    info = json.loads((target / "meta/info.json").read_text())
    info["features"]["observation.depth.front"]["info"] |= {f"video.{name}": value for name, value in facts.items()}
    (target / "meta/info.json").write_text(json.dumps(info))
    return open_dataset(target)


def test_depth_of_another_writer_keeps_its_metres(folder, tmp_path):
    dataset = relabel_depth(folder, tmp_path / "set", depth_max=10.0)
    assert dataset.schema.depth_scale("observation.depth.front") == pytest.approx(10 / 4095)


@pytest.mark.parametrize("facts", [{"use_log": True}, {"depth_min": 0.01}, {"use_log": None}])
def test_depth_that_is_not_proportional_to_metres_is_left_unread(folder, tmp_path, facts):
    dataset = relabel_depth(folder, tmp_path / "set", **facts)
    assert dataset.info.unread == ("observation.depth.front",)
    assert "observation.depth.front" not in dataset.read(0).arrays


def test_statistics_are_those_of_the_data(folder):
    said = json.loads((folder / "meta/stats.json").read_text())
    states = np.concatenate([make_recording(i).arrays["observation.state"] for i in range(3)]).astype(float)
    for name, value in (("min", states.min(0)), ("mean", states.mean(0)), ("std", states.std(0))):
        np.testing.assert_allclose(said["observation.state"][name], value, rtol=1e-6)
    np.testing.assert_allclose(said["observation.state"]["q90"], np.quantile(states, 0.9, axis=0))
    assert said["observation.state"]["count"] == [18]
    colour = np.concatenate([make_recording(i).arrays["observation.images.front"] for i in range(3)]) / 255
    assert np.shape(said["observation.images.front"]["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(said["observation.images.front"]["std"]), colour.std((0, 1, 2)), atol=1e-6)


def test_combined_statistics_are_those_of_the_whole():
    rows = np.random.default_rng(0).normal(size=(60, 3)) * [1, 5, 0.1]
    parts = combine([number_statistics(rows[:13]), number_statistics(rows[13:])])
    whole = number_statistics(rows)
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(parts[name], whole[name])


def test_large_files_are_followed_by_others(tmp_path, monkeypatch):
    monkeypatch.setattr("armflow.learning.store.layout.DATA_MEGABYTES", 0)
    monkeypatch.setattr("armflow.learning.store.layout.VIDEO_MEGABYTES", 0)
    folder = make_dataset(tmp_path / "set", 3)
    assert (folder / "data/chunk-000/file-002.parquet").is_file()
    assert (folder / "videos/observation.depth.front/chunk-000/file-002.mp4").is_file()
    dataset = open_dataset(folder)
    for index in range(3):
        assert_same(dataset.read(index), make_recording(index))
    assert dataset.table().frames == 18


def test_an_episode_without_frames_is_dropped(tmp_path):
    with DatasetWriter(tmp_path / "set", make_schema(pictures=False), durable=False) as writer:
        writer.begin("nothing")
        writer.end()
    assert open_dataset(tmp_path / "set").episodes == []


def test_an_error_drops_the_running_episode_only(tmp_path):
    writer = DatasetWriter(tmp_path / "set", make_schema(pictures=False), durable=False)
    writer.add(make_recording(0, pictures=False))
    with pytest.raises(ShapeError), writer:
        writer.add(make_recording(1))
    assert len(open_dataset(tmp_path / "set").episodes) == 1


def _with(name, value):
    recording = make_recording(0, pictures=False)
    return {**recording.arrays, name: value}


REFUSED = [
    (_with("action", np.zeros((5, 3), np.float32)), "action must be"),
    (_with("action", np.full((5, 2), np.nan, np.float32)), "action must be finite; got NaN or infinity at frame 0"),
    (_with("action", np.zeros((5, 2), complex)), "action must be"),
    (_with("extra", np.zeros((5, 2))), "other: extra"),
]


@pytest.mark.parametrize(("arrays", "said"), REFUSED)
def test_what_does_not_fit_the_schema_is_refused_and_nothing_is_lost(tmp_path, arrays, said):
    with DatasetWriter(tmp_path / "set", make_schema(pictures=False), durable=False) as writer:
        writer.add(make_recording(0, pictures=False))
        with pytest.raises(ShapeError, match=said):
            writer.add(Recording(arrays, np.arange(5.0), ""))
        writer.add(make_recording(1, pictures=False))
    assert [episode.length for episode in open_dataset(tmp_path / "set").episodes] == [5, 6]


def test_depth_beyond_12_bits_is_refused(tmp_path):
    recording = Recording({"observation.depth.a": np.full((1, 24, 24), 4096, np.uint16)}, np.zeros(1), "")
    with (
        DatasetWriter(tmp_path / "set", infer_schema(recording, 10)) as writer,
        pytest.raises(ShapeError, match="4096"),
    ):
        writer.add(recording)


def test_times_that_step_back_are_refused():
    with pytest.raises(ShapeError, match="a step back at frame 2"):
        Recording({}, np.array([0.0, 0.1, 0.1]), "")


def test_two_writers_at_once_are_refused(tmp_path):
    first = DatasetWriter(tmp_path / "set", make_schema(pictures=False))
    with pytest.raises(DatasetError, match="another process is writing"):
        DatasetWriter(tmp_path / "set", make_schema(pictures=False))
    first.close()
    DatasetWriter(tmp_path / "set", make_schema(pictures=False)).close()


def test_another_schema_is_refused_by_name(folder):
    schema = make_schema()
    wider = Schema(schema.fps, {**schema.features, "action": Feature("float32", (3,))}, schema.robot, schema.extra)
    with pytest.raises(DatasetError, match=r"action: is float32 \[2\] in the dataset and float32 \[3\]"):
        DatasetWriter(folder, wider)


def test_no_such_feature_or_episode_names_the_choices(folder):
    with pytest.raises(ChoiceError, match="no feature 'speed'; choose from observation"):
        open_dataset(folder).table(("speed",))
    with pytest.raises(ChoiceError, match="no episode 7; choose from 0 to 2"):
        open_dataset(folder).read(7)
    with pytest.raises(DatasetError, match="is video"):
        open_dataset(folder).table(("observation.images.front",))
