import dataclasses

import numpy as np
import pytest
import torch

from armflow.learning.store import load_table
from armflow.learning.trainer import TrainConfig, train
from armflow.planning.dynamics import DynamicsError
from armflow.planning.dynamics import objective as home
from armflow.planning.dynamics.adapt import MATERIAL, make_code
from armflow.planning.dynamics.data import COLUMNS, Interactions, read_scenes
from armflow.planning.dynamics.objective import DynamicsObjective, WindowConfig, make_objective
from armflow.robot.errors import ChoiceError
from tests.planning.follow import Follow
from tests.planning.interaction import write_interaction

SMALL = WindowConfig(horizons=(2, 4), particles=(8, 12))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = write_interaction(tmp_path_factory.mktemp("data") / "bars", 4)
    return read_scenes(*load_table(folder, COLUMNS))


@pytest.fixture
def objective(scenes, monkeypatch):
    monkeypatch.setattr(home, "make_dynamics", lambda name: Follow())
    return DynamicsObjective("fast", Interactions(scenes[:3]), Interactions(scenes[3:]), SMALL)


def test_one_seed_makes_one_batch(objective):
    one, other = (objective.batch(5, rng=np.random.default_rng(4)) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert {len(part) for part in one.values()} == {5}


def test_batches_differ_in_horizon_and_in_number_of_particles(objective):
    rng = np.random.default_rng(0)
    shapes = {tuple(objective.batch(1, rng=rng)["truth"].shape[1:3]) for _ in range(40)}
    assert {steps for steps, _ in shapes} == {2, 4}
    assert {count for _, count in shapes} == {8, 9, 10, 11, 12}


def test_some_windows_do_not_tell_the_material(objective):
    batch = objective.batch(200, rng=np.random.default_rng(0))
    hidden = (batch["code"][:, -MATERIAL:] == 0.5).all(dim=1)
    assert 60 < int(hidden.sum()) < 140


def test_the_right_model_has_less_loss_than_the_wrong_one(objective):
    batch = objective.batch(16, rng=np.random.default_rng(0))
    right, wrong = (objective.loss(Follow(gain), batch).item() for gain in (1.0, 0.2))
    assert right < 0.5 * wrong


def test_training_finds_the_share_that_the_tool_carries(objective, tmp_path):
    config = TrainConfig(
        steps=80, batch=8, learning_rate=0.05, warmup=5, weight_decay=0.0, ema_decay=0.8, precision="fp32", log_every=40
    )
    record = train(objective, config, tmp_path / "run")
    assert objective.module.gain.item() == pytest.approx(1.0, abs=0.1)
    assert record.scores["validation/error_over_still"] < 0.3


def test_held_out_scenes_are_the_same_ones_each_time(scenes, monkeypatch):
    monkeypatch.setattr(home, "make_dynamics", lambda name: Follow())
    found = make_objective(scenes * 5, "fast", "quick")
    assert found.aside is not None
    assert (len(found.train.scenes), len(found.aside.scenes)) == (18, 2)
    assert found.aside.scenes[0] is scenes[9 % 4]


def test_unknown_names_and_empty_data_are_refused(scenes):
    with pytest.raises(ChoiceError, match="fast, pgnd, gbnd"):
        make_objective(scenes, "still", "quick")
    with pytest.raises(ChoiceError, match="quick, full"):
        make_objective(scenes, "fast", "huge")
    with pytest.raises(DynamicsError, match="no episodes"):
        make_objective([], "fast", "quick")


def test_a_batch_has_as_many_of_a_rare_category(scenes):
    rare = dataclasses.replace(scenes[0], code=make_code("cloth", torch.full((4,), 0.5)).numpy())
    found = make_objective([*scenes * 2, rare], "fast", "quick").batch(200, rng=np.random.default_rng(0))
    assert 70 < int(found["code"][:, 1].sum()) < 130
