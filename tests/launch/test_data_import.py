"""`armflow data import`: play of others becomes a dataset that reads back the same."""

import numpy as np
import pytest

from armflow.launch.cli import main
from armflow.learning.store import load_table, open_dataset
from armflow.learning.store.check import check
from tests.learning import foreign


@pytest.mark.parametrize("layout", ["block-push", "calvin", "robomimic"])
def test_imported_play_reads_back_with_every_number(layout, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    source, wanted = foreign.WRITERS[layout](tmp_path / "source")
    assert main(["data", "import", str(source), "--out", str(tmp_path / "out")]) == 0
    assert f"wrote {len(wanted)} episodes" in capsys.readouterr().out
    dataset = open_dataset(tmp_path / "out")
    for index, arrays in enumerate(wanted):
        found = dataset.read(index).arrays
        assert set(found) == set(arrays)
        for name in arrays:
            if "images" not in name:  # colour is compressed with loss
                np.testing.assert_array_equal(found[name].reshape(arrays[name].shape), arrays[name])
    assert not list(check(tmp_path / "out", pictures=True))


def test_training_reads_a_source_as_it_is_or_imported(tmp_path, capsys):
    source, _ = foreign.write_block_push(tmp_path)
    names = ("observation.state", "action", "action.valid")
    assert main(["data", "import", str(source), "--out", str(tmp_path / "out")]) == 0
    direct, imported = load_table(source, names)[0], load_table(tmp_path / "out", names)[0]
    np.testing.assert_array_equal(direct.starts, imported.starts)
    for name in names:
        np.testing.assert_array_equal(direct.arrays[name].ravel(), imported.arrays[name].ravel())


def test_the_facts_of_a_layout_survive_the_import(tmp_path, capsys):
    source, _ = foreign.write_block_push(tmp_path)
    assert main(["data", "import", str(source), "--out", str(tmp_path / "out")]) == 0
    extra = open_dataset(tmp_path / "out").schema.extra
    assert extra["environment"] == "BlockPush"
    assert (extra["goal"], extra["angles"]) == ([0, 1, 3, 4], [2, 5, 12, 15])


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--layout", "zar"], "no layout 'zar'; choose from block-push"), ([], "is none of the known ones")],
)
def test_what_cannot_be_imported_is_one_line_and_writes_nothing(options, said, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    assert main(["data", "import", str(tmp_path / "source"), "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
