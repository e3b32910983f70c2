from armflow.launch.readme import between, dynamics_rows, learned_rows, speed_rows, success_rows, tables

RUN = {
    "task": "Push",
    "arm": "panda",
    "successes": 97,
    "episodes": 100,
    "interval": [0.915, 0.99],
    "seeds": list(range(100)),
}
SPEED = {"name": "ik, panda", "value": 0.0512, "unit": "ms", "bar": 0.1, "reference": "pinocchio 1.29", "ok": True}


def test_a_row_says_how_to_measure_it_again():
    row = success_rows([RUN])[-1]
    assert "97 of 100" in row
    assert "91.5 to 99.0 %" in row
    assert "`armflow eval --task Push --arm panda --episodes 100`" in row


def test_a_learned_policy_stands_with_its_command_and_its_kinds_of_goals():
    run = {**RUN, "controller": "beso", "facts": {"goal": {"lamp on": [10, 9]}}}
    first, second = learned_rows([{"runs": [run], "command": "armflow eval --controller beso"}])[-2:]
    assert first.endswith("| `armflow eval --controller beso` |")
    assert "lamp on | | 9 of 10 | 59.6 to 98.2 %" in second


def test_a_speed_stands_beside_its_bar():
    assert speed_rows([SPEED])[-1] == "| ik, panda | 0.0512 ms | 0.1 ms | pinocchio 1.29 | ✓ |"


def test_errors_of_dynamics_stand_in_millimetres_beside_those_of_no_model():
    still = {"mean": {"point": 0.05}}
    learned = {"mean": {"point": 0.02}, "interval": [0.015, 0.025]}
    models = {"fast": learned, "no motion": still, "constant velocity": still, "move with tool": still}
    row = dynamics_rows({"splits": [{"name": "rope", "models": models, "windows": 24, "scenes": 8}]})[-1]
    assert row == "| rope | 20.0 (15.0 to 25.0) | 50.0 | 50.0 | 50.0 | 24 of 8 |"


def test_every_file_finds_its_table():
    reports = [{"runs": [{**RUN, "controller": name}], "command": "c"} for name in ("flow", "beso", "mppi", "scripted")]
    found = tables([*reports, [SPEED]])
    assert list(found) == ["success", "learned", "shapes", "speed"]
    assert len(found["shapes"]) == 4


def test_only_what_is_between_the_marks_is_replaced():
    text = "a\n<!-- speed -->\nold\n<!-- /speed -->\nb\n"
    assert between(text, "speed", ["new"]) == "a\n<!-- speed -->\nnew\n<!-- /speed -->\nb\n"
