"""Foreign play: every layout written here as its makers write it, and read back number for number."""

import gc
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports import LAYOUTS, Limits, Sandbox, calvin, detect_layout, read_source, sandbox
from armflow.learning.store.imports.block_push import push_task
from armflow.robot.errors import ChoiceError
from tests.learning import foreign

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "block_push_oracle"


@pytest.fixture(scope="module")
def reader() -> Iterator[Sandbox]:
    """One child process for all tests that need no fresh one."""
    shared = Sandbox()
    yield shared
    shared.close()


@pytest.mark.parametrize("name", foreign.WRITERS)
def test_each_layout_is_told_from_its_content_and_read_back_number_for_number(name, tmp_path, reader):
    path, wanted = foreign.WRITERS[name](tmp_path)
    assert detect_layout(path).name == name
    recordings, schema = read_source(path, sandbox=reader)
    found = list(recordings)
    assert len(found) == len(wanted)
    for recording, arrays in zip(found, wanted, strict=True):
        assert set(recording.arrays) == set(arrays) == set(schema.features)
        for key, array in arrays.items():
            np.testing.assert_array_equal(recording.arrays[key], array)
        np.testing.assert_allclose(np.diff(recording.stamps), 1 / schema.fps)


def test_every_layout_has_a_fixture():
    assert set(foreign.WRITERS) == set(LAYOUTS)


def test_an_unknown_layout_names_the_choices(tmp_path):
    with pytest.raises(ChoiceError, match=r"no layout 'blockpush'; choose from block-push, cbet-push"):
        read_source(tmp_path, "blockpush")


def test_a_missing_path_says_so(tmp_path):
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        read_source(tmp_path / "nothing")


def test_a_folder_of_something_else_lists_what_can_be_read(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match="is none of the known ones"):
        read_source(tmp_path)


def test_block_push_says_what_a_policy_may_see_and_what_makes_a_goal(tmp_path):
    recordings, schema = read_source(foreign.write_block_push(tmp_path)[0])
    assert schema.extra["environment"] == "BlockPush"
    assert schema.extra["observe"] == list(range(10))
    names = schema.features["observation.state"].names
    assert [names[column] for column in schema.extra["goal"]] == ["block0_x", "block0_y", "block1_x", "block1_y"]
    assert all(names[column].endswith("yaw") for column in schema.extra["angles"])
    assert schema.fps == 10
    assert next(recordings).task == "push the red block into target 0, then the green block into target 1"


@pytest.mark.parametrize(
    ("pushes", "task"),
    [
        ((2, 1), "push the green block into target 0, then the red block into target 1"),
        ((1, -1), "push the two blocks into the two targets"),
        ((0, 2), "push the two blocks into the two targets"),
        ((1, 0), "push the two blocks into the two targets"),
    ],
)
def test_only_two_blocks_into_two_targets_make_a_sentence_of_their_own(pushes, task):
    assert push_task(np.array(pushes)) == task


def test_the_shared_demonstrations_are_read_whole():
    if not SHARED.exists():
        pytest.skip("the shared demonstrations are not here")
    recordings, _ = read_source(SHARED)
    lengths = [recording.length for recording in recordings]
    assert (len(lengths), sum(lengths)) == (950, 107_697 + 950)  # a last frame for each final observation


def damage_push(folder, name, change):
    """Write C-BeT's push files with one array changed."""
    path, _ = foreign.write_cbet_push(folder)
    file = folder / f"multimodal_push_{name}.npy"
    array = np.load(file)
    np.save(file, change(array))
    return path


def with_entry(array, place, value):
    array[place] = value
    return array


def test_a_nan_is_named_with_its_place(tmp_path):
    path = damage_push(tmp_path, "actions", lambda a: with_entry(a, (1, 3, 0), np.nan))
    with pytest.raises(DatasetError, match=r"actions: has NaN or infinity, first at \[1, 3, 0\]"):
        read_source(path)


def test_a_hole_in_an_episode_is_refused(tmp_path):
    path = damage_push(tmp_path, "masks", lambda a: with_entry(a, (2, 1), 0))
    with pytest.raises(DatasetError, match="masks: episode 2 is empty or has a hole"):
        read_source(path)


def test_arrays_of_other_shapes_are_refused(tmp_path):
    path = damage_push(tmp_path, "observations", lambda a: a[:, :, :10])
    with pytest.raises(DatasetError, match=r"observations: has the shape \(3, 9, 10\); \(3, 9, 16\) is needed"):
        read_source(path)


def test_pickles_are_never_opened(tmp_path):
    path = damage_push(tmp_path, "actions", lambda a: a.astype(object))
    with pytest.raises(DatasetError, match="actions: holds object; only plain numbers are read"):
        read_source(path)


def test_a_giant_declared_size_takes_no_memory(tmp_path):
    path, _ = foreign.write_cbet_push(tmp_path)
    file = tmp_path / "multimodal_push_actions.npy"
    file.write_bytes(file.read_bytes().replace(b"(3, 9, 2), }          ", b"(3, 9, 200000000), }  "))
    with pytest.raises(DatasetError, match="declares 43200000000 bytes"):
        read_source(path)


def test_a_tensor_file_that_names_other_code_is_refused(tmp_path, reader):
    path, _ = foreign.write_kitchen(tmp_path)
    with zipfile.ZipFile(path / "onehot_goals.pth", "w") as archive:
        archive.writestr("goals/data.pkl", pickle.dumps(print))
    with pytest.raises(DatasetError, match=r"builtins\.print is no part of a tensor"):
        read_source(path, sandbox=reader)


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path, reader):
    import h5py

    path, _ = foreign.write_robomimic(tmp_path)
    path.rename(tmp_path / "other.hdf5")
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("other.hdf5", "/data")
    with pytest.raises(DatasetError, match="data: is a link"):
        read_source(path, sandbox=reader)


def test_a_missing_frame_of_calvin_is_named(tmp_path):
    path, _ = foreign.write_calvin(tmp_path)
    (path / "episode_0000102.npz").unlink()
    with pytest.raises(DatasetError, match=r"episode_0000102\.npz: file: is missing"):
        read_source(path)


def test_long_play_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(calvin, "LONGEST", 3)
    recordings, _ = read_source(foreign.write_calvin(tmp_path)[0])
    assert [recording.length for recording in recordings] == [3, 1, 2]


def test_a_zarr_buffer_in_a_zip_holds_the_same(tmp_path, reader):
    folder, wanted = foreign.write_zarr(tmp_path)
    path = shutil.make_archive(str(tmp_path / "buffer.zarr"), "zip", folder)
    recordings, _ = read_source(path, sandbox=reader)
    for recording, arrays in zip(recordings, wanted, strict=True):
        np.testing.assert_array_equal(recording.arrays["observation.state"], arrays["observation.state"])


def test_the_rate_is_read_where_the_file_says_it(tmp_path, reader):
    _, schema = read_source(foreign.write_robomimic(tmp_path)[0], sandbox=reader)
    assert schema.fps == 25
    assert schema.extra["source"] == {"layout": "robomimic", "environment": "Lift"}


def test_achieved_goals_make_the_goals_of_minari(tmp_path, reader):
    _, schema = read_source(foreign.write_minari(tmp_path)[0], sandbox=reader)
    assert schema.extra["goal"] == [0, 1, 2]
    assert schema.extra["observe"] == [3, 4, 5, 6]


def test_a_crash_of_a_library_is_an_error_and_the_next_file_is_read(tmp_path, monkeypatch):
    path, wanted = foreign.write_robomimic(tmp_path)
    reader = Sandbox()
    with monkeypatch.context() as patch:
        patch.setattr(sandbox, "CHILD", ("-c", "import os; input(); os.kill(os.getpid(), 11)"))
        with pytest.raises(DatasetError, match=r"low_dim.hdf5: file: is damaged: reading it crashed \(signal 11\)"):
            read_source(path, sandbox=reader)
    assert len(list(read_source(path, sandbox=reader)[0])) == len(wanted)
    reader.close()


def test_silence_ends_the_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe.hdf5")  # opening it waits for a writer that never comes
    reader = Sandbox(Limits(memory=3 << 30, seconds=3.0))
    with pytest.raises(DatasetError, match="took over 3 s without progress"):
        reader.read("robomimic", tmp_path / "pipe.hdf5")


def test_a_reader_that_is_dropped_leaves_no_process(tmp_path):
    path, _ = foreign.write_robomimic(tmp_path)
    reader = Sandbox()
    recordings, _ = reader.read("robomimic", path)
    pid = reader._process.pid
    next(recordings)
    del recordings, reader
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
