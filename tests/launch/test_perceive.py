"""`armflow perceive`: what it leaves behind and what it refuses."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from armflow.launch import cli
from tests.perception.scenes import block, camera, cup, render


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    frame, _ = render([block(0.5, 0.1), cup(0.5, -0.1)], camera(), rng=np.random.default_rng(0))
    path = tmp_path / "one.npz"
    depth = np.nan_to_num(1000 * frame.depth).round().astype(np.uint16)
    np.savez(path, rgb=frame.rgb[None], depth_mm=depth[None], K=frame.K)
    return path


def test_perceive_leaves_pictures_and_objects(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["perceive", str(recording), "--out", str(out), "--instruction", "put the red block in the blue cup"]
    assert cli.main(words) == 0
    objects = json.loads((out / "objects.json").read_text())["frames"][0]["objects"]
    assert sorted(o["name"] for o in objects) == ["blue cup", "red block"]
    picture = cv2.imread(str(out / "overlay_0000.png"))
    assert picture is not None
    assert picture.shape == (720, 960, 3)
    printed = capsys.readouterr().out
    assert "what: found red block" in printed
    assert "where: found blue cup" in printed


def test_perceive_says_when_an_object_is_missing(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["perceive", str(recording), "--out", str(tmp_path / "out"), "--instruction", "open the green drawer"]
    assert cli.main(words) == 0
    assert "no such object: green drawer" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_perceive_refuses_malformed_recordings_in_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.npz"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["perceive", str(path), "--out", str(tmp_path / "out")]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert str(path) in complaint


def test_perceive_refuses_empty_depth_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dark.npz"
    np.savez(path, rgb=np.zeros((1, 24, 32, 3), np.uint8), depth_mm=np.zeros((1, 24, 32), np.uint16), hfov_deg=60.0)
    assert cli.main(["perceive", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "0 depth readings" in capsys.readouterr().err


def test_perceive_refuses_unknown_words_in_one_line(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["perceive", str(recording), "--instruction", "sing to the block"]) == 2
    assert "no verb" in capsys.readouterr().err
