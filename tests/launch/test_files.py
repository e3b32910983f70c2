import json

import pytest

from armflow.launch.files import WriteError, append_line, make_folder, write_json, write_text


def test_a_write_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_value_that_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", [1])
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert json.loads((tmp_path / "a.json").read_text()) == [1]


def test_lines_are_appended_whole(tmp_path):
    for number in range(3):
        append_line(tmp_path / "a.jsonl", {"n": number})
    assert [json.loads(line)["n"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [0, 1, 2]


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path):
    write_text(tmp_path / "a", "")
    with pytest.raises(WriteError, match="cannot write"):
        make_folder(tmp_path / "a")
