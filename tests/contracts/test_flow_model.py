"""What every `FlowModel` keeps."""

import numpy as np
import pytest

from armflow.planning.flow_model.goal_flow import GoalFlow

MODELS = {"GoalFlow": GoalFlow}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture
def candidates(model, scene, command):
    return model.predict(scene, command, rng=np.random.default_rng(0))


def test_candidates_come_best_first(candidates):
    scores = [one.score for one in candidates]
    assert scores
    assert scores == sorted(scores, reverse=True)


def test_every_flow_begins_where_the_object_was_seen(candidates, scene):
    start = scene.target.T_world_object.as_matrix()
    for one in candidates:
        assert np.allclose(one.Ts_world_object[0].as_matrix(), start, atol=1e-9)
        assert one.flow.points_world.shape[0] == len(one.Ts_world_object)


def test_every_flow_is_finite_and_lasts(candidates):
    for one in candidates:
        assert np.isfinite(one.flow.points_world).all()
        assert one.flow.dt > 0
        assert one.contact in ("grasp", "push", "pull")


def test_one_seed_gives_one_answer(model, scene, command, candidates):
    again = model.predict(scene, command, rng=np.random.default_rng(0))
    assert len(again) == len(candidates)
    assert all(np.array_equal(a.flow.points_world, b.flow.points_world) for a, b in zip(again, candidates, strict=True))
