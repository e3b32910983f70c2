import json

import numpy as np
import pytest

from armflow.launch import cli
from armflow.learning.store import open_dataset
from tests.learning.store_samples import make_dataset, make_recording


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data") / "set", 2)


def test_check_ends_with_0_where_nothing_is_wrong(dataset, capsys):
    assert cli.main(["data", "check", str(dataset)]) == 0
    assert "nothing wrong with 2 episodes, 11 frames" in capsys.readouterr().out


def test_check_prints_findings_and_ends_with_1(tmp_path, capsys):
    folder = make_dataset(tmp_path / "set", 1, pictures=False)
    stats = json.loads((folder / "meta/stats.json").read_text())
    stats["action"]["mean"][1] += 1.0
    (folder / "meta/stats.json").write_text(json.dumps(stats))
    assert cli.main(["data", "check", str(folder)]) == 1
    assert "meta/stats.json: action: mean[1]" in capsys.readouterr().out
    assert cli.main(["data", "repair", str(folder)]) == 0
    assert "counted meta/stats.json again" in capsys.readouterr().out
    assert cli.main(["data", "check", str(folder)]) == 0


def test_info_names_features_cameras_and_tasks(dataset, capsys):
    assert cli.main(["data", "info", str(dataset)]) == 0
    said = capsys.readouterr().out
    for part in (
        "2 episodes of 5 to 6 frames",
        "10 Hz",
        "xarm6",
        "observation.depth.front",
        "serial 0123",
        "1 x task 1",
    ):
        assert part in said


def test_export_as_npz_holds_every_array_and_the_capture_times(dataset, tmp_path):
    assert cli.main(["data", "export", str(dataset), "--out", str(tmp_path / "npz")]) == 0
    with np.load(tmp_path / "npz/episode_000001.npz") as episode:
        wanted = make_recording(1)
        np.testing.assert_array_equal(episode["observation.depth.front"], wanted.arrays["observation.depth.front"])
        np.testing.assert_array_equal(episode["stamps"], wanted.stamps)
        assert str(episode["task"]) == wanted.task


def test_export_for_cbet_pads_with_zeros_and_masks_them(dataset, tmp_path):
    assert cli.main(["data", "export", str(dataset), "--out", str(tmp_path / "cbet"), "--layout", "cbet"]) == 0
    arrays = {n: np.load(tmp_path / f"cbet/multimodal_push_{n}.npy") for n in ("observations", "actions", "masks")}
    assert arrays["observations"].shape == (2, 6, 4)
    assert arrays["masks"].sum(axis=1).tolist() == [5, 6]
    np.testing.assert_array_equal(arrays["actions"][0, :5], make_recording(0).arrays["action"])
    assert not arrays["actions"][0, 5].any()


def test_export_never_writes_into_a_folder_with_something_in_it(dataset, capsys):
    assert cli.main(["data", "export", str(dataset), "--out", str(dataset)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_is_exported_for_cbet_can_be_imported_again(tmp_path, capsys):
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    source.mkdir()
    lengths = np.array([7, 9])
    masks = (np.arange(9) < lengths[:, None]).astype(np.float32)
    arrays = {
        "observations": rng.normal(size=(2, 9, 16)).astype(np.float32) * masks[..., None],
        "actions": rng.normal(size=(2, 9, 2)).astype(np.float32) * masks[..., None],
        "masks": masks,
    }
    for name, array in arrays.items():
        np.save(source / f"multimodal_push_{name}.npy", array)
    assert cli.main(["data", "import", str(source), "--out", str(tmp_path / "set")]) == 0
    assert "wrote 2 episodes, 16 frames" in capsys.readouterr().out
    assert [episode.length for episode in open_dataset(tmp_path / "set").episodes] == [7, 9]
    assert cli.main(["data", "check", str(tmp_path / "set")]) == 0
    assert cli.main(["data", "export", str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--layout", "cbet"]) == 0
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"out/multimodal_push_{name}.npy"), array)


WRONG = [
    (["data"], "expected one of {check, repair, info, import, export}"),
    (["data", "fly"], "unrecognized options: fly; choose from check, repair, info, import, export"),
    (["data", "check", ".", "--fast"], "unrecognized options: --fast; choose from --folder, --pictures"),
    (["data", "check", "/no/such/folder"], "/no/such/folder: meta: is missing"),
    (["data", "repair", "/no/such/folder"], "/no/such/folder: meta: is missing"),
    (["data", "info", "/no/such/folder"], "meta/info.json: is missing; this is not a LeRobot dataset"),
    (["data", "import", "/no/such/folder", "--out", "x"], "there is no such file or folder"),
    (["data", "import", ".", "--out", "x", "--layout", "scroll"], "no layout 'scroll'; choose from "),
]


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_is_wrong_is_one_line_and_exit_code_2(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
