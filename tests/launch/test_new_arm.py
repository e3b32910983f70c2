import pytest

from armflow.launch import cli
from armflow.robot.embodiments import load_arm
from tests.robot.boxes import write_arm, write_urdf

LIMITS = 'lower="-2" upper="2" velocity="1.5"'
BENDS = ("shoulder", "elbow", "wrist")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ARMFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys, arguments):
    """The one line that is said when the command ends with exit code 2."""
    assert cli.main(["new-arm", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err


def test_new_arm_writes_a_file_that_loads_and_marks_its_guesses(folder, capsys):
    write_urdf(folder / "four.urdf", LIMITS, BENDS)
    assert cli.main(["new-arm", "--urdf", "four.urdf", "--out", "arms/mine.yaml"]) == 0
    arm = load_arm("mine")
    assert arm.joint_names == ("turn", *BENDS)
    assert arm.v_max.tolist() == [1.5] * 4
    assert (arm.q_min < arm.home).all()
    assert (arm.home < arm.q_max).all()
    assert arm.tool(arm.home).rotation.as_matrix()[2, 2] == pytest.approx(-1.0, abs=1e-2)  # pointing down
    assert "# guess" in (folder / "arms/mine.yaml").read_text()
    assert "armflow sim --arm arms/mine.yaml" in capsys.readouterr().out


def test_new_arm_refuses_to_guess_limits(folder, capfd):
    write_urdf(folder / "two.urdf", 'lower="-2" upper="2"')
    assert "joint 'turn': v_max is missing in URDF and YAML" in refusal(capfd, ["--urdf", "two.urdf"])
    write_urdf(folder / "two.urdf", 'velocity="1"')
    assert "joint 'turn': q_min is missing in URDF and YAML" in refusal(capfd, ["--urdf", "two.urdf"])
    assert not (folder / "arms/new_arm.yaml").exists()


def test_new_arm_takes_a_velocity_limit_that_the_urdf_lacks(folder):
    write_urdf(folder / "four.urdf", 'lower="-2" upper="2"', BENDS)
    assert cli.main(["new-arm", "--urdf", "four.urdf", "--v-max", "0.7"]) == 0
    assert load_arm("new_arm").v_max.tolist() == [0.7] * 4


def test_new_arm_keeps_a_file_that_exists(folder, capfd):
    write_urdf(folder / "two.urdf", LIMITS)
    (folder / "mine.yaml").write_text("precious")
    assert "--force replaces it" in refusal(capfd, ["--urdf", "two.urdf", "--out", "mine.yaml"])
    assert (folder / "mine.yaml").read_text() == "precious"


def test_new_arm_says_when_the_tool_cannot_point_down(folder, capfd):
    write_urdf(folder / "two.urdf", LIMITS)
    assert "the tool cannot point down" in refusal(capfd, ["--urdf", "two.urdf"])


@pytest.mark.parametrize("field", ["v_max", "a_max"])
def test_sim_refuses_an_arm_without_limits(folder, capfd, field):
    write_arm(folder, without=field)
    assert cli.main(["sim", "--arm", "two.yaml", "--task", "PickPlace"]) == 2
    said = capfd.readouterr().err
    assert f"joint 'turn': {field} is missing in URDF and YAML" in said
    assert said.count("\n") == 1
