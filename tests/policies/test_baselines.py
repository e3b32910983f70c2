"""Behaviour cloning and binned actions on data whose right answer is known."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from armflow.learning.checkpoint import Checkpoint, load_checkpoint
from armflow.learning.store.schema import Feature, Schema
from armflow.learning.store.table import EpisodeTable
from armflow.learning.trainer import TrainConfig, train
from armflow.policies.backbone import BackboneConfig
from armflow.policies.baselines import (
    METHODS,
    PRESETS,
    BaselineConfig,
    BaselineConfigError,
    BaselineObjective,
    BinError,
    build_policy,
    find_bins,
    load_policy,
    make_objective,
    nearest,
)
from armflow.policies.play import PlayConfig, PlayDataError
from armflow.robot.errors import ChoiceError, ValueRangeError

SMALL = BaselineConfig(
    play=PlayConfig(window=2, holdout=0.1),
    backbone=BackboneConfig(width=32, depth=2, heads=2, dropout=0.0),
    hidden=(64, 64),
    bins=8,
)
GAIN, OFFSET = np.array([[0.6, -0.3], [0.2, 0.5]]), np.array([0.02, -0.01])


def table_of(states: np.ndarray, actions: np.ndarray) -> EpisodeTable:
    """Episodes from states [E, T, S] and actions [E, T, A]."""
    starts = np.arange(len(states) + 1, dtype=np.int64) * states.shape[1]
    arrays = {
        "observation.state": states.reshape(-1, states.shape[-1]),
        "action": actions.reshape(-1, actions.shape[-1]),
    }
    return EpisodeTable({name: array.astype(np.float32) for name, array in arrays.items()}, starts)


def schema_of(table: EpisodeTable, **extra: object) -> Schema:
    features = {name: Feature("float32", array.shape[1:]) for name, array in table.arrays.items()}
    return Schema(10.0, features, extra=dict(extra))


def linear_expert() -> EpisodeTable:
    """Random states in a square of half a metre, and the actions of a linear law."""
    states = np.random.default_rng(0).uniform(-0.25, 0.25, (30, 20, 2))
    return table_of(states, states @ GAIN.T + OFFSET)


def walks(rng: np.random.Generator, *, told: bool) -> EpisodeTable:
    """A walker goes left or right at 0.1 m a step, from 0; states and goals tell which way, or not."""
    way = np.where(np.arange(60) % 2, 1.0, -1.0)[:, None, None] * 0.1
    times = np.arange(8)[None, :, None]
    states = way * times if told else np.zeros((60, 8, 1)) + 1e-3 * rng.standard_normal((60, 8, 1))
    return table_of(states, np.broadcast_to(way, states.shape))


def objective_on(table: EpisodeTable, method: str, config: BaselineConfig = SMALL) -> BaselineObjective:
    return make_objective(table, schema_of(table), config, method=method, seed=0)


def learn(objective: BaselineObjective, steps: int = 250, batch: int = 128) -> BaselineObjective:
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(objective.module.parameters(), lr=3e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    objective.module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        objective.loss(objective.module, objective.batch(batch, rng=rng), generator=generator).backward()
        optimizer.step()
        schedule.step()
    objective.module.eval()
    return objective


def predict(objective: BaselineObjective, states: Tensor, goals: Tensor, seed: int = 0) -> Tensor:
    with torch.no_grad():
        past = torch.zeros(len(states), states.shape[1] - 1, 2)
        return objective.module.predict(states, past, goals, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_expert_is_recovered(method: str):
    objective = learn(objective_on(linear_expert(), method, replace(SMALL, play=PlayConfig(window=1, holdout=0.1))))
    states = torch.from_numpy(np.random.default_rng(9).uniform(-0.2, 0.2, (200, 1, 2))).float()
    actions = predict(objective, states, torch.zeros(200, 1, 2))[:, 0].numpy()
    wanted = states[:, 0].numpy() @ GAIN.T + OFFSET
    error = np.linalg.norm(actions - wanted, axis=1)
    # Actions spread over 0.1 m; a choice among eight bins without offsets would be 0.03 m off.
    assert error.mean() < 0.015


@pytest.mark.parametrize("method", METHODS)
def test_the_goal_decides_where_the_state_does_not(method: str):
    objective = learn(objective_on(walks(np.random.default_rng(0), told=True), method, replace(SMALL, bins=2)), 120)
    states, goals = torch.zeros(2, 2, 1), torch.tensor([[[-0.5]], [[0.5]]])
    actions = predict(objective, states, goals)[:, 0, 0]
    torch.testing.assert_close(actions, torch.tensor([-0.1, 0.1]), atol=0.02, rtol=0)


def test_binned_actions_keep_both_ways_where_cloning_takes_their_mean():
    table = walks(np.random.default_rng(0), told=False)
    states, goals = torch.zeros(200, 2, 1), torch.zeros(200, 1, 1)
    cloned = predict(learn(objective_on(table, "bc_transformer"), 60), states, goals)[:, 0, 0]
    assert cloned.abs().max() < 0.05
    binned = predict(learn(objective_on(table, "cbet", replace(SMALL, bins=2)), 60), states, goals)[:, 0, 0]
    assert (binned.abs() - 0.1).abs().max() < 0.02
    assert 0.3 < (binned > 0).float().mean() < 0.7


def test_binned_actions_repeat_with_the_generator_and_differ_without():
    objective = objective_on(walks(np.random.default_rng(0), told=False), "cbet", replace(SMALL, bins=2))
    states, goals = torch.zeros(64, 2, 1), torch.zeros(64, 1, 1)
    first, same, other = (predict(objective, states, goals, seed) for seed in (0, 0, 1))
    torch.testing.assert_close(first, same, atol=0, rtol=0)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", METHODS)
def test_chunks_of_actions_follow_from_the_last_frame(method: str):
    play = PlayConfig(window=3, chunk=4, goal_frames=2, holdout=0.1)
    objective = objective_on(linear_expert(), method, replace(SMALL, play=play))
    batch = objective.batch(5, rng=np.random.default_rng(0))
    assert torch.isfinite(objective.loss(objective.module, batch, generator=torch.Generator()))
    assert predict(objective, batch["states"], batch["goals"]).shape == (5, 4, 2)


@pytest.mark.parametrize("method", METHODS)
def test_actions_that_are_not_there_teach_nothing(method: str):
    objective = objective_on(linear_expert(), method, replace(SMALL, play=PlayConfig(window=2, chunk=3)))
    batch = objective.batch(64, rng=np.random.default_rng(0))
    assert not batch["valid"].all()
    other = {**batch, "actions": torch.where(batch["valid"][..., None], batch["actions"], 7.0)}
    losses = [objective.module.loss(one) for one in (batch, other)]
    torch.testing.assert_close(*losses)


def test_a_frame_of_the_transformer_does_not_see_those_after_it():
    objective = objective_on(linear_expert(), "bc_transformer")
    network = objective.module.network
    torch.nn.init.normal_(network.get_submodule("head").weight)
    states, goals = torch.randn(4, 2, 2), torch.randn(4, 1, 2)
    changed = states.clone()
    changed[:, 1] += 1
    before, after = network(states, goals), network(changed, goals)
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert (before[:, 1] - after[:, 1]).abs().min() > 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_policy_comes_back_from_its_folder(method: str, tmp_path: Path):
    objective = objective_on(linear_expert(), method)
    record = train(objective, TrainConfig(steps=3, batch=16, warmup=1, precision="fp32", ema_decay=0.0), tmp_path)
    assert {"validation/loss", "validation/action_rms"} <= set(record.scores)
    loaded = load_policy(load_checkpoint(tmp_path))
    batch = objective.batch(6, rng=np.random.default_rng(3))
    objective.module.eval()
    ours = predict(objective, batch["states"], batch["goals"])
    past = batch["actions"][:, :-1, 0]
    again = loaded.predict(batch["states"], past, batch["goals"], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again, ours)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_stays_on_the_device_of_the_network(method: str):
    objective = objective_on(linear_expert(), method)
    batch = objective.batch(8, rng=np.random.default_rng(0))
    there = {name: part.to("meta") for name, part in batch.items()}
    loss = objective.loss(objective.module.to("meta"), there, generator=torch.Generator().manual_seed(0))
    assert loss.device.type == "meta"


def test_without_episodes_kept_aside_there_are_no_scores():
    objective = objective_on(linear_expert(), "bc_mlp", replace(SMALL, play=PlayConfig(window=2, holdout=0.0)))
    assert objective.evaluate(objective.module) == {}


def test_preparing_repeats_with_the_seed_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    one, two = (objective_on(linear_expert(), "cbet") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, tensor in one.module.state_dict().items():
        torch.testing.assert_close(tensor, two.module.state_dict()[name], atol=0, rtol=0)


def test_presets_are_plain_settings_that_survive_json():
    table = linear_expert()
    for preset in PRESETS.values():
        for method in METHODS:
            config = objective_on(table, method, preset).config()
            build_policy(json.loads(json.dumps(config)))
            assert config["method"] == method


def test_hidden_columns_do_not_reach_the_policy():
    table = linear_expert()
    schema = schema_of(table, observe=[0], goal=[0])
    objective = make_objective(table, schema, SMALL, method="bc_mlp", seed=0)
    states, goals = torch.randn(4, 2, 2), torch.randn(4, 1, 1)
    changed = states.clone()
    changed[..., 1] += 1
    torch.testing.assert_close(predict(objective, states, goals), predict(objective, changed, goals))


def test_refusals_name_what_is_wrong():
    table = linear_expert()
    with pytest.raises(ChoiceError, match="no baseline 'bc'; choose from bc_mlp"):
        objective_on(table, "bc")
    with pytest.raises(BinError, match="64 bins need as many different actions; the data have 2"):
        objective_on(walks(np.random.default_rng(0), told=True), "cbet", replace(SMALL, bins=64))
    with pytest.raises(PlayDataError, match="'action' must be a row of numbers for each frame"):
        objective_on(EpisodeTable({"observation.state": table.arrays["observation.state"]}, table.starts), "cbet")
    with pytest.raises(ValueRangeError, match="bins is 0"):
        BaselineConfig(bins=0)
    with pytest.raises(ValueRangeError, match="hidden"):
        BaselineConfig(hidden=())
    with pytest.raises(ValueRangeError, match="focus"):
        BaselineConfig(focus=-1)


def test_a_checkpoint_that_does_not_fit_is_refused():
    objective = objective_on(linear_expert(), "bc_mlp")
    config, tensors = objective.config(), objective.module.state_dict()
    with pytest.raises(ChoiceError, match="no baseline 'beso'"):
        load_policy(Checkpoint(tensors, {**config, "method": "beso"}))
    with pytest.raises(BaselineConfigError, match="hidden"):
        load_policy(Checkpoint(tensors, {name: value for name, value in config.items() if name != "hidden"}))
    with pytest.raises(BaselineConfigError, match="does not fit"):
        load_policy(Checkpoint(tensors, {**config, "hidden": [32]}))


def clouds(rng: np.random.Generator) -> np.ndarray:
    """Three groups of points, four metres apart."""
    return np.concatenate([middle + 0.3 * rng.standard_normal((50, 2)) for middle in ([0, 0], [4, 0], [0, 4])])


def in_order(centres: np.ndarray) -> np.ndarray:
    return centres[np.lexsort(centres.T[::-1].round(6))]


def test_bins_are_the_means_of_their_points_and_each_point_has_the_nearest():
    points = clouds(np.random.default_rng(0))
    centres = find_bins(points, 3, rng=np.random.default_rng(1))
    owner = nearest(points, centres)
    for number, centre in enumerate(centres):
        np.testing.assert_allclose(points[owner == number].mean(axis=0), centre)
    np.testing.assert_array_equal(owner, np.linalg.norm(points[:, None] - centres, axis=-1).argmin(axis=1))
    np.testing.assert_array_equal(np.bincount(owner), 50)


def test_bins_move_turn_and_grow_with_the_points_and_do_not_mind_their_order():
    points = clouds(np.random.default_rng(0))
    centres = in_order(find_bins(points, 3, rng=np.random.default_rng(1)))
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    moved = in_order(find_bins(2.5 * points @ turn.T + [1, -3], 3, rng=np.random.default_rng(1)))
    np.testing.assert_allclose(moved, in_order(2.5 * centres @ turn.T + [1, -3]), atol=1e-9)
    shuffled = np.random.default_rng(2).permutation(points)
    np.testing.assert_allclose(in_order(find_bins(shuffled, 3, rng=np.random.default_rng(3))), centres)


def test_more_rounds_never_raise_the_error():
    points = np.random.default_rng(0).standard_normal((500, 2))

    def error(rounds: int) -> float:
        centres = find_bins(points, 12, rng=np.random.default_rng(1), rounds=rounds)
        return float(((points - centres[nearest(points, centres)]) ** 2).sum())

    errors = [error(rounds) for rounds in range(12)]
    assert all(later <= sooner + 1e-9 for sooner, later in pairwise(errors))


def test_as_many_bins_as_different_points_are_those_points():
    points = np.repeat(np.random.default_rng(0).standard_normal((6, 3)), 5, axis=0)
    centres = find_bins(points, 6, rng=np.random.default_rng(1))
    np.testing.assert_allclose(in_order(centres), in_order(np.unique(points, axis=0)))
    with pytest.raises(BinError, match="7 bins"):
        find_bins(points, 7, rng=np.random.default_rng(1))
