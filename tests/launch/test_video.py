import av
import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform

from armflow.launch.drawing import STRIP_HEIGHT, Caption, View, compose, draw_flow, draw_points
from armflow.launch.recorder import Recorder
from armflow.launch.runner import run_episode
from armflow.launch.video import VideoWriter
from armflow.perception.flow import Flow3D
from tests.launch.fake import FakeWorld, TurnController

VIEW = View(np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]]), RigidTransform.identity())


def count_pictures(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_video_holds_every_picture_and_appears_when_closed(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 12.5)
    for value in range(7):
        writer.write(np.full((49, 65, 3), 30 * value, np.uint8))
    assert not (tmp_path / "a.mp4").exists()
    writer.close()
    writer.close()
    assert count_pictures(tmp_path / "a.mp4") == 7
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_interrupted_episode_leaves_a_readable_video(tmp_path):
    class Interrupted(TurnController):
        def act(self, observation):
            if observation.q[0] > 0.05:
                raise KeyboardInterrupt
            return super().act(observation)

    with pytest.raises(KeyboardInterrupt):
        run_episode(FakeWorld(), Interrupted(), max_seconds=60.0, listener=Recorder(tmp_path / "a.mp4", "title"))
    assert count_pictures(tmp_path / "a.mp4") > 10


def test_points_are_drawn_where_the_camera_sees_them():
    image = np.zeros((80, 100, 3), np.uint8)
    draw_points(image, VIEW, np.array([[0.2, 0.1, 1.0], [0.0, 0.0, -1.0]]))
    rows, columns = np.nonzero(image.any(axis=2))
    assert (rows.mean(), columns.mean()) == pytest.approx((50, 70), abs=0.5)


def test_flow_is_drawn_from_its_start_to_its_end():
    image = np.zeros((80, 100, 3), np.uint8)
    points = np.linspace([-0.3, 0.0, 1.0], [0.3, 0.0, 1.0], 6)[:, None]
    draw_flow(image, VIEW, Flow3D(points, np.ones((6, 1), bool), 0.1))
    columns = np.nonzero(image.any(axis=2))[1]
    assert columns.min() == pytest.approx(20, abs=2)
    assert columns.max() == pytest.approx(80, abs=3)


def test_points_far_outside_or_behind_the_camera_do_no_harm():
    image = np.zeros((80, 100, 3), np.uint8)
    points = np.array([[1e9, 0, 1.0], [0, 0, 0.0], [0, 0, -5.0], [1, 1, 1e-12]])
    draw_points(image, VIEW, points)
    draw_flow(image, VIEW, Flow3D(np.stack([points, points + 1]), np.ones((2, 4), bool), 0.1))


def test_words_too_long_for_the_strip_are_cut():
    caption = Caption("t" * 300, "i" * 300, "s" * 300, 1.0)
    assert compose(np.zeros((40, 200, 3), np.uint8), caption).shape == (40 + STRIP_HEIGHT, 200, 3)
