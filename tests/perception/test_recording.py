"""Recordings: both forms are read alike, and each malformed field is refused by file and field."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from armflow.perception.recording import load_recording
from armflow.robot.errors import FormatError


def fields(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values = {
        "rgb": rng.integers(0, 255, (2, 6, 8, 3), dtype=np.uint8),
        "depth_mm": np.full((2, 6, 8), 800, np.uint16),
        "hfov_deg": 60.0,
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def save(folder: Path, **changes: Any) -> Path:
    path = folder / "clip.npz"
    np.savez(path, **fields(**changes))
    return path


def save_folder(folder: Path, **intrinsics: Any) -> Path:
    rgb, depth = fields()["rgb"], fields()["depth_mm"]
    for i in range(2):
        cv2.imwrite(str(folder / f"rgb_{i:04d}.png"), rgb[i][..., ::-1])
        cv2.imwrite(str(folder / f"depth_{i:04d}.png"), depth[i])
    values = {"fx": 7.0, "fy": 7.0, "cx": 3.5, "cy": 2.5, **intrinsics}
    (folder / "intrinsics.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    return folder


def test_archives_give_metres_and_nan(tmp_path: Path) -> None:
    depth = np.full((2, 6, 8), 800, np.uint16)
    depth[0, 0, 0] = 0
    recording = load_recording(save(tmp_path, depth_mm=depth, instruction="open the drawer", period=0.1))
    assert recording.instruction == "open the drawer"
    assert [f.stamp for f in recording.frames] == [0.0, 0.1]
    assert np.isnan(recording.frames[0].depth[0, 0])
    assert recording.frames[1].depth[0, 0] == pytest.approx(0.8)
    assert recording.frames[0].K[0, 0] == pytest.approx(4 / np.tan(np.deg2rad(30)))


def test_depth_in_metres_is_depth_in_millimetres(tmp_path: Path) -> None:
    recording = load_recording(save(tmp_path, depth_mm=None, depth=np.full((2, 6, 8), 0.8)))
    assert recording.frames[0].depth[0, 0] == pytest.approx(0.8)


def test_folders_give_what_archives_give(tmp_path: Path) -> None:
    recording = load_recording(save_folder(tmp_path, instruction="push it"))
    np.testing.assert_array_equal(recording.frames[1].rgb, fields()["rgb"][1])
    np.testing.assert_allclose(recording.frames[1].depth, 0.8)
    assert recording.frames[0].K[0].tolist() == [7.0, 0.0, 3.5]
    assert recording.instruction == "push it"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rgb": None}, "rgb"),
        ({"rgb": np.zeros((2, 6, 8, 3))}, "rgb"),
        ({"rgb": np.zeros((0, 6, 8, 3), np.uint8)}, "rgb"),
        ({"rgb": np.zeros((6, 8, 3), np.uint8)}, "rgb"),
        ({"depth_mm": None}, "depth"),
        ({"depth_mm": np.zeros((2, 6, 7), np.uint16)}, "depth"),
        ({"depth_mm": np.full((2, 6, 8), "x")}, "depth_mm"),
        ({"hfov_deg": None}, "hfov_deg"),
        ({"hfov_deg": -5.0}, "hfov_deg"),
        ({"hfov_deg": 200.0}, "hfov_deg"),
        ({"hfov_deg": "wide"}, "hfov_deg"),
        ({"hfov_deg": np.array([50.0, 60.0])}, "hfov_deg"),
        ({"K": np.eye(2)}, "K"),
        ({"K": np.zeros((3, 3))}, "K"),
        ({"K": np.full((3, 3), np.nan)}, "K"),
        ({"period": 0.0}, "period"),
        ({"rgb": np.array([{"a": 1}], dtype=object)}, "rgb"),
    ],
)
def test_malformed_fields_of_archives_are_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = save(tmp_path, **changes)
    with pytest.raises(FormatError) as caught:
        load_recording(path)
    assert (caught.value.path, caught.value.field) == (path, field)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 broken"])
def test_files_that_are_no_archives_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.npz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is no npz archive"):
        load_recording(path)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FormatError, match=str(path)):
        load_recording(path)


def test_missing_files_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist"):
        load_recording(tmp_path / "none.npz")
    (tmp_path / "clip.mp4").write_bytes(b"0")
    with pytest.raises(FormatError, match="suffix"):
        load_recording(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("intrinsics", "field"),
    [({"fy": None}, "fy"), ({"fx": 0}, "fx"), ({"cx": "left"}, "cx"), ({"fx": None}, "hfov_deg")],
)
def test_malformed_intrinsics_of_folders_are_named(tmp_path: Path, intrinsics: dict[str, Any], field: str) -> None:
    with pytest.raises(FormatError) as caught:
        load_recording(save_folder(tmp_path, **intrinsics))
    assert (Path(str(caught.value.path)).name, caught.value.field) == ("intrinsics.json", field)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{fx: 1}"])
def test_intrinsics_that_are_no_object_are_refused(tmp_path: Path, text: str) -> None:
    save_folder(tmp_path)
    (tmp_path / "intrinsics.json").write_text(text)
    with pytest.raises(FormatError, match=r"intrinsics\.json"):
        load_recording(tmp_path)


def test_folders_with_broken_pictures_name_them(tmp_path: Path) -> None:
    save_folder(tmp_path)
    (tmp_path / "rgb_0001.png").write_bytes(b"not a picture")
    with pytest.raises(FormatError, match=r"rgb_0001\.png: rgb"):
        load_recording(tmp_path)


def test_folders_without_a_depth_picture_name_it(tmp_path: Path) -> None:
    (save_folder(tmp_path) / "depth_0001.png").unlink()
    with pytest.raises(FormatError, match=r"depth_0001\.png: depth"):
        load_recording(tmp_path)


def test_depth_of_eight_bits_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(save_folder(tmp_path) / "depth_0000.png"), np.zeros((6, 8), np.uint8))
    with pytest.raises(FormatError, match="16 bit"):
        load_recording(tmp_path)


def test_pairs_of_two_sizes_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(save_folder(tmp_path) / "depth_0001.png"), np.zeros((5, 8), np.uint16))
    with pytest.raises(FormatError, match=r"rgb_0001\.png: size"):
        load_recording(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"intrinsics\.json"):
        load_recording(tmp_path)
