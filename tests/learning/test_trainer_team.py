import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from armflow.learning.checkpoint import read_tensors
from armflow.learning.trainer import TeamError, leads, train
from armflow.robot.errors import ValueRangeError
from tests.learning.lines import Lines, settings

ROOT = Path(__file__).parents[2]


def test_two_processes_train_what_one_trains(tmp_path):
    pytest.importorskip("lightning_fabric")
    command = [sys.executable, "-m", "tests.learning.together", str(tmp_path / "two"), "2", "10"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    train(Lines(dropout=0.0, noise=0.0), settings(steps=10, batch=16, decay="constant"), tmp_path / "one")
    (two, facts), (one, _) = (read_tensors(tmp_path / name / "trainer.safetensors") for name in ("two", "one"))
    weights = [name for name in one if name.startswith(("module/", "average/"))]
    assert len(weights) == 12
    for name in weights:  # sums of 8 + 8 and of 16 numbers round differently
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6)
    assert facts["counters"]["samples"] == 160


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    with pytest.raises(ValueRangeError, match="batch is 16; it must be a multiple of the 3 processes"):
        train(Lines(), settings(devices=3, accelerator="cpu"), tmp_path)


def test_without_fabric_several_processes_are_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(TeamError, match="several processes need Lightning Fabric"):
        train(Lines(), settings(devices=2, accelerator="cpu"), tmp_path)


def test_one_process_does_not_import_fabric(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    assert train(Lines(), settings(steps=2), tmp_path).device.startswith(("cpu", "cuda"))


def test_only_the_first_process_leads(monkeypatch):
    assert leads()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not leads()
