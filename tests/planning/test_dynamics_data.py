import dataclasses

import numpy as np
import pytest
import torch

from armflow.learning.store import EpisodeTable, Schema, load_table
from armflow.planning.dynamics import DT, DynamicsError, make_dynamics
from armflow.planning.dynamics.adapt import MATERIAL, adapt, hide_material, make_code
from armflow.planning.dynamics.data import COLUMNS, Interactions, Windows, move_windows, read_scenes, show_tracks
from armflow.planning.dynamics.scores import chamfer, earth_movers, point_error, score_windows
from armflow.robot.errors import ChoiceError
from tests.planning.follow import Follow
from tests.planning.interaction import write_interaction


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = write_interaction(tmp_path_factory.mktemp("data") / "bars", 3, frames=60)
    return load_table(folder, COLUMNS)


@pytest.fixture
def data(table):
    return Interactions(read_scenes(*table))


def changed(table, name, array):
    return EpisodeTable({**table.arrays, name: array}, table.starts)


def test_a_window_holds_the_recorded_motion_at_steps_of_dt(data):
    scene = data.scenes[1]
    windows = data.windows(np.array([[1, 21]]), 4, 20, rng=np.random.default_rng(0))
    speed = (scene.tracks[30] - scene.tracks[27])[0] / DT
    assert torch.allclose(windows.particles.velocities, torch.from_numpy(speed).expand(1, 2, 20, 3), atol=1e-5)
    step = windows.truth[0, 0] - windows.particles.points[0]
    assert torch.allclose(step, torch.from_numpy(speed * DT).expand(20, 3), atol=1e-5)
    assert windows.tools.points.shape == (1, 5, 3)
    assert torch.equal(windows.tools.closed, torch.ones(1, 5))


def test_before_the_first_frame_everything_stood_still(data):
    windows = data.windows(np.array([[0, 0]]), 2, 20, rng=np.random.default_rng(0))
    assert windows.particles.velocities.abs().max() == 0
    assert torch.equal(windows.particles.rest, windows.particles.points)


def test_particles_keep_their_name_from_rest_to_truth(data):
    windows = data.windows(np.array([[2, 15]]), 6, 8, rng=np.random.default_rng(1))
    offsets = windows.truth - windows.particles.rest[:, None]
    assert torch.allclose(offsets, offsets[:, :, :1].expand_as(offsets), atol=1e-6)


def test_more_particles_than_points_are_given_by_repetition(data):
    assert data.windows(np.array([[0, 0]]), 2, 50, rng=np.random.default_rng(0)).truth.shape == (1, 2, 50, 3)


def test_turned_and_shifted_windows_move_as_before(data):
    rng = np.random.default_rng(3)
    windows = data.windows(data.starts(5, every=0.3)[:6], 5, 12, rng=rng)
    moved = Windows.of(move_windows(windows.tensors(), rng=rng))
    model = make_dynamics("move_with_tool")
    for found in (windows, moved):
        error = model.rollout(found.particles, found.tools) - found.truth
        assert error[(found.tools.closed > 0.5).all(dim=1)].abs().max() < 1e-5
    assert torch.allclose(windows.truth[..., 2], moved.truth[..., 2], atol=1e-6)
    assert not torch.allclose(windows.truth, moved.truth, atol=1e-2)
    speeds = windows.particles.velocities.norm(dim=-1)
    assert torch.allclose(moved.particles.velocities.norm(dim=-1), speeds, atol=1e-6)


def test_starts_leave_out_what_stands_still(data):
    every, moving = data.starts(3, every=0.0), data.starts(3, every=0.0, moved=1e-4)
    assert moving[:, 1].min() >= 15 - 3 * 3
    assert len(moving) < len(every)


def test_windows_longer_than_the_episodes_are_refused(data):
    with pytest.raises(DynamicsError, match=r"no window of 6 s"):
        data.starts(60)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("tracks", np.zeros((180, 1, 3), np.float32), "at least 2 points"),
        ("tracks", np.full((180, 4, 3), np.nan, np.float32), "not finite"),
        ("observation.state", np.zeros((180, 7), np.float32), "hand's pose"),
        ("material", np.zeros((180, 3), np.float32), "must be"),
    ],
)
def test_columns_of_another_kind_are_refused_by_name(table, name, array, words):
    with pytest.raises(DynamicsError, match=f"{name}.*{words}"):
        read_scenes(changed(table[0], name, array), table[1])


def test_data_without_tracks_say_how_to_record_some(table):
    arrays = {name: array for name, array in table[0].arrays.items() if name != "tracks"}
    with pytest.raises(DynamicsError, match="play record"):
        read_scenes(EpisodeTable(arrays, table[0].starts), table[1])


def test_a_rate_that_does_not_fit_the_step_is_refused(table):
    schema = Schema(25.0, table[1].features, extra=table[1].extra)
    with pytest.raises(DynamicsError, match="25 Hz"):
        read_scenes(table[0], schema)


def test_an_unknown_category_is_refused():
    with pytest.raises(ChoiceError, match="rope, cloth, plush, box"):
        make_code("fish")


def test_hiding_the_material_keeps_the_category():
    code = make_code("cloth", torch.tensor([0.1, 0.2, 0.3, 0.4]))[None]
    assert torch.equal(hide_material(code)[0], make_code("cloth"))
    assert torch.equal(hide_material(code, torch.tensor([False])), code)


def test_adapting_finds_the_material_that_explains_the_motion(data):
    model = Follow(gain=0.5, slope=1.0)
    windows = data.windows(data.starts(5, every=0.3, moved=0.001), 5, 10, rng=np.random.default_rng(0))
    start = windows.particles.expand(len(windows.truth))
    hidden = type(start)(start.points, start.velocities, start.rest, hide_material(start.code))
    told = hidden.code.clone()
    told[:, -MATERIAL] = 0.8
    seen = model.rollout(type(start)(start.points, start.velocities, start.rest, told), windows.tools).detach()
    code = adapt(model, hidden, windows.tools, seen, rounds=60)
    assert float(code[-MATERIAL]) == pytest.approx(0.8, abs=0.05)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_distances_of_a_shifted_cloud():
    cloud = np.random.default_rng(0).uniform(size=(40, 3))
    shifted = cloud + np.array([1e-4, 0, 0])
    shuffled = shifted[np.random.default_rng(1).permutation(40)]
    assert point_error(cloud, shifted) == pytest.approx(1e-4)
    assert earth_movers(cloud, shuffled) == pytest.approx(1e-4)
    assert chamfer(cloud, shuffled) == pytest.approx(1e-4)
    assert point_error(cloud, shuffled) > 0.1


def test_scores_of_what_needs_no_learning(data):
    windows = data.windows(data.starts(10, every=0.5)[:5], 10, 16, rng=np.random.default_rng(0))
    carried, still = (score_windows(make_dynamics(name), windows) for name in ("move_with_tool", "still"))
    assert carried["point"].shape == (5, 10)
    assert carried["point"][1:].max() < 2e-3
    assert (np.diff(still["point"][-1])[5:] > 0).all()


def test_seen_tracks_start_a_window_and_the_truth_judges_it(data):
    truth = data.scenes[1]
    order = np.random.default_rng(0).permutation(truth.tracks.shape[1])[:12]
    off = np.array([0.0, 0.001, 0.0], np.float32)
    seen = dataclasses.replace(truth, tracks=truth.tracks[:, order] + off)
    windows = Interactions([show_tracks(truth, seen)]).windows(np.array([[0, 21]]), 4, 12, rng=np.random.default_rng(0))
    true = data.windows(np.array([[1, 21]]), 4, 20, rng=np.random.default_rng(0))
    assert torch.allclose(windows.particles.velocities[0, 0, 0], true.particles.velocities[0, 0, 0], atol=1e-5)
    step = windows.truth[0, 0] - windows.particles.points[0] - windows.particles.velocities[0, 1] * DT
    assert torch.allclose(step, -torch.from_numpy(off).expand(12, 3), atol=1e-5)


def test_seen_tracks_of_another_episode_are_refused(data):
    with pytest.raises(DynamicsError, match="another episode"):
        show_tracks(data.scenes[0], data.scenes[1])
