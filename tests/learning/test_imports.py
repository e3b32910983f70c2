"""Foreign play: every layout written here as its makers write it, and read back number for number."""

import numpy as np
import pytest

from armflow.learning.store.errors import DatasetError
from armflow.learning.store.imports import LAYOUTS, detect_layout, read_source
from armflow.robot.errors import ChoiceError
from tests.learning import foreign


@pytest.mark.parametrize("name", foreign.WRITERS)
def test_each_layout_is_told_from_its_content_and_read_back_number_for_number(name, tmp_path):
    path, wanted = foreign.WRITERS[name](tmp_path)
    assert detect_layout(path).name == name
    recordings, schema = read_source(path)
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
