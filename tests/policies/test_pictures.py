import numpy as np
import pytest
import torch
from scipy.spatial.transform import RigidTransform

from armflow.learning.store import DatasetWriter, Feature, Recording, Schema, load_table
from armflow.perception.frame import RGBDFrame
from armflow.policies.beso.objective import make_objective
from armflow.policies.load import wrap_policy
from armflow.policies.picture_data import add_pictures, choose_columns
from armflow.policies.pictures import Eye, PictureConfig, PictureEncoder, PictureError, _places, resize, shift
from armflow.robot.errors import ChoiceError, ShapeError

SIZE = 32
K = ((40.0, 0.0, 15.5), (0.0, 40.0, 15.5), (0.0, 0.0, 1.0))


def spot(row: float, column: float, size: int = SIZE) -> np.ndarray:
    """A bright blob on black [size, size, 3] uint8."""
    rows, columns = np.mgrid[:size, :size]
    bright = 255 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18)
    return np.repeat(bright[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three episodes of a blob that an action shifts, with pictures of it."""
    folder = tmp_path_factory.mktemp("play") / "data"
    features = {
        "observation.state": Feature("float32", (4,), ("robot_x", "robot_y", "blob_x", "blob_y")),
        "action": Feature("float32", (2,), ("x", "y")),
        "observation.images.bench": Feature("video", (SIZE, SIZE, 3)),
    }
    extra = {
        "goal": [2, 3],
        "moved": [[0], [1]],
        "alike": [[0, 1], [2, 3]],
        "cameras": {"bench": {"intrinsics": [list(row) for row in K]}},
    }
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, Schema(10, features, "none", extra)) as writer:
        for _ in range(3):
            state = rng.uniform(0.2, 0.8, (12, 4)).astype(np.float32)
            pictures = np.stack([spot(SIZE * row[3], SIZE * row[2]) for row in state])
            action = rng.normal(size=(12, 2)).astype(np.float32)
            arrays = {"observation.state": state, "action": action, "observation.images.bench": pictures}
            writer.add(Recording(arrays, np.arange(12) / 10, "watch"))
    return folder


def test_places_move_with_what_they_follow():
    torch.manual_seed(0)
    encoder = PictureEncoder(PictureConfig("bench", SIZE, SIZE))
    bright = torch.full((1, 1, 8, 8), -30.0)
    bright[0, 0, 2, 5] = 30.0
    place = _places(bright, encoder.grid)
    assert place[0].tolist() == pytest.approx([5 / 7 * 2 - 1, 2 / 7 * 2 - 1], abs=1e-5)  # x across, y down


def test_sights_do_not_depend_on_what_else_is_in_the_batch():
    torch.manual_seed(0)
    encoder = PictureEncoder(PictureConfig("bench", SIZE, SIZE)).eval()
    pictures = torch.from_numpy(np.stack([spot(8, 8), spot(20, 12), spot(16, 25)]))
    with torch.no_grad():
        together = encoder.sights(pictures)
        alone = torch.stack([encoder.sights(one[None])[0] for one in pictures])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    with pytest.raises(ShapeError, match="recorded size"):
        encoder.sights(pictures[:, :20])


def test_a_shift_moves_a_windows_pictures_together_and_repeats_the_edge():
    pictures = torch.arange(2 * 2 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 2, 4, 5, 3)
    moved = shift(pictures, 1, generator=torch.Generator().manual_seed(3))
    by = torch.randint(-1, 2, (2, 2, 1), generator=torch.Generator().manual_seed(3))
    for window in range(2):
        for row in range(4):
            for column in range(5):
                source = (row + int(by[0, window])), (column + int(by[1, window]))
                y, x = min(max(source[0], 0), 3), min(max(source[1], 0), 4)
                assert torch.equal(moved[window, :, row, column], pictures[window, :, y, x])


def test_a_smaller_picture_averages():
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, ::2] = 200
    assert np.abs(resize(picture, 4, 4)[1:-1, 1:-1].astype(int) - 100).max() <= 30
    assert resize(picture, 8, 8) is picture


def test_the_eye_cuts_the_recorded_view_out_of_a_larger_picture():
    wide = np.zeros((SIZE, 2 * SIZE, 3), np.uint8)
    wide[:, SIZE // 2 : SIZE // 2 + SIZE] = spot(10, 20)
    intrinsics = np.array(K) + np.array([[0, 0, SIZE / 2], [0, 0, 0], [0, 0, 0]])
    frame = RGBDFrame(wide, np.ones(wide.shape[:2], np.float32), intrinsics, RigidTransform.identity(), 0.0)
    eye = Eye(PictureEncoder(PictureConfig("bench", SIZE, SIZE, K)))
    np.testing.assert_array_equal(eye.view(frame), spot(10, 20))
    narrow = RGBDFrame(wide[:, :SIZE], np.ones((SIZE, SIZE), np.float32), intrinsics, RigidTransform.identity(), 0.0)
    with pytest.raises(PictureError, match="--camera-size"):
        eye.view(narrow)


def test_beside_pictures_a_policy_sees_only_the_robots_columns(recorded):
    table, schema = load_table(recorded)
    with_pictures, told = add_pictures(recorded, table, schema, "bench")
    assert told.extra["observe"] == [0, 1]
    assert told.extra["alike"] == []
    assert with_pictures.arrays["observation.images.bench"].shape == (36, SIZE, SIZE, 3)
    assert choose_columns(schema, ["blob_x", "3"]).extra["observe"] == [2, 3]
    with pytest.raises(ChoiceError, match="robot_x"):
        choose_columns(schema, ["elbow"])
    with pytest.raises(ChoiceError, match="bench"):
        add_pictures(recorded, table, schema, "wrist")


def test_a_policy_with_pictures_learns_from_them_and_acts_on_them(recorded):
    table, schema = add_pictures(recorded, *load_table(recorded), "bench")
    objective = make_objective(table, schema, "quick", seed=0)
    batch = objective.batch(8, rng=np.random.default_rng(0))
    torch.nn.init.normal_(objective.module.head.weight)  # it starts at zero, which lets no gradient through
    loss = objective.loss(objective.module, batch, generator=torch.Generator().manual_seed(0))
    loss.backward()
    encoder = objective.module.features.encoder
    assert encoder is not None
    assert all(part.grad is not None and part.grad.abs().max() > 0 for part in encoder.parameters())

    agent = wrap_policy(objective.module.eval(), objective.config()).agent(seed=0)
    state, goal = table.arrays["observation.state"][0], np.array([0.5, 0.5], np.float32)
    seen = []
    for picture in (spot(6, 6), spot(26, 26)):
        agent = wrap_policy(objective.module, objective.config()).agent(seed=0)
        seen.append(agent.act(state, goal, picture))
    assert not np.array_equal(seen[0], seen[1])
