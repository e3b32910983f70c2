import json
import os
import resource
from contextlib import contextmanager

import pytest
import torch

from armflow.learning.checkpoint import load_checkpoint, read_tensors, save_checkpoint, write_tensors
from armflow.learning.files import WriteError
from armflow.learning.trainer import train
from armflow.robot.errors import FormatError, StackError
from tests.learning.lines import Lines, settings

TENSORS = {
    "weight": torch.arange(6.0).view(2, 3),
    "count": torch.tensor(7),
    "half": torch.ones(2, dtype=torch.bfloat16),
}
CONFIG = {"method": "lines", "width": 3}


@contextmanager
def largest_file(size):
    """A disk that is full after `size` bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_written_is_read_back(tmp_path):
    save_checkpoint(tmp_path / "new" / "folder", TENSORS, CONFIG)
    found = load_checkpoint(tmp_path / "new" / "folder")
    assert found.config == CONFIG
    assert set(found.tensors) == set(TENSORS)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["config.json", "model.safetensors"]


def test_tensors_that_share_memory_or_are_views_are_written_whole(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    save_checkpoint(tmp_path, {"all": base, "turned": base.T, "row": base[1]}, CONFIG)
    found = load_checkpoint(tmp_path).tensors
    assert torch.equal(found["turned"], base.T)
    assert torch.equal(found["row"], base[1])


def test_facts_travel_in_the_header(tmp_path):
    write_tensors(tmp_path / "x.safetensors", TENSORS, {"state": 2**100})
    assert read_tensors(tmp_path / "x.safetensors")[1] == {"state": 2**100}


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path):
    save_checkpoint(tmp_path, TENSORS, CONFIG)
    before = contents(tmp_path)
    with largest_file(1000), pytest.raises(WriteError, match=r"cannot write .*model\.safetensors: File too large"):
        save_checkpoint(tmp_path, {"weight": torch.zeros(1000)}, CONFIG)
    assert contents(tmp_path) == before


def test_a_full_disk_stops_a_training_with_its_last_checkpoint_kept(tmp_path):
    train(Lines(), settings(decay="constant"), tmp_path)
    before = contents(tmp_path)
    with largest_file(3000), pytest.raises(WriteError, match=r"cannot write .*trainer\.safetensors"):
        train(Lines(), settings(decay="constant", steps=40), tmp_path, resume=True)
    after = contents(tmp_path)
    assert {name: after[name] for name in before if name != "metrics.jsonl"} == {
        name: data for name, data in before.items() if name != "metrics.jsonl"
    }
    train(Lines(), settings(decay="constant", steps=40), tmp_path, resume=True)
    train(Lines(), settings(decay="constant", steps=40), tmp_path / "straight")
    assert torch.equal(
        load_checkpoint(tmp_path).tensors["0.weight"], load_checkpoint(tmp_path / "straight").tensors["0.weight"]
    )


def test_a_line_of_metrics_cut_by_a_full_disk_is_taken_back(tmp_path):
    train(Lines(), settings(decay="constant"), tmp_path)
    size = (tmp_path / "metrics.jsonl").stat().st_size
    from armflow.learning.trainer.metrics import Metrics

    metrics = Metrics(tmp_path, 20, 20)
    with largest_file(size + 20), pytest.raises(WriteError, match=r"metrics\.jsonl"):
        metrics.append({"step": 25, "loss": 0.123456789, "gradient_norm": 1.0})
    metrics.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines][-1] == 20


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "run", TENSORS, CONFIG)


@pytest.mark.parametrize("broken", ["missing", "empty", "cut", "not json"])
def test_a_broken_checkpoint_names_the_file(tmp_path, broken):
    save_checkpoint(tmp_path, TENSORS, CONFIG)
    path = tmp_path / ("config.json" if broken == "not json" else "model.safetensors")
    data = path.read_bytes()
    path.unlink()
    if broken != "missing":
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "not json": b"{"}[broken])
    with pytest.raises(FormatError, match=path.name):
        load_checkpoint(tmp_path)


def test_a_broken_training_is_refused_and_left_as_it_is(tmp_path):
    train(Lines(), settings(), tmp_path)
    path = tmp_path / "trainer.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    before = contents(tmp_path)
    with pytest.raises(FormatError, match=r"trainer\.safetensors"):
        train(Lines(), settings(), tmp_path, resume=True)
    assert contents(tmp_path) == before


def test_a_model_without_a_method_is_refused(tmp_path):
    save_checkpoint(tmp_path, TENSORS, {"width": 3})
    with pytest.raises(FormatError, match="method: missing"):
        load_checkpoint(tmp_path)
