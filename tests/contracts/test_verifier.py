"""What every `Verifier` keeps."""

from dataclasses import replace

import numpy as np
import pytest

from armflow.perception.flow import Flow3D
from armflow.planning.flow_model.goal_flow import GoalFlow
from armflow.planning.scene import Verdict
from armflow.planning.verify import GeometricVerifier

VERIFIERS = {"GeometricVerifier": GeometricVerifier}


@pytest.fixture(params=VERIFIERS)
def verifier(request):
    return VERIFIERS[request.param]()


@pytest.fixture
def candidate(scene, command):
    return GoalFlow().predict(scene, command, rng=np.random.default_rng(0))[0]


def moved(candidate, points_world):
    flow = candidate.flow
    return replace(candidate, flow=Flow3D(points_world, flow.visible, flow.dt))


def test_a_verdict_is_a_sentence_with_finite_figures(verifier, scene, candidate, world):
    verdict = verifier.judge(scene, candidate, world.arm.model)
    assert isinstance(verdict, Verdict)
    assert verdict.reason
    assert "\n" not in verdict.reason
    assert all(np.isfinite(value) for value in verdict.figures.values())


def test_a_good_motion_passes(verifier, scene, candidate, world):
    verdict = verifier.judge(scene, candidate, world.arm.model)
    assert verdict.ok, verdict.reason


def test_an_object_that_falls_to_pieces_does_not_pass(verifier, scene, candidate, world):
    points = candidate.flow.points_world.copy()
    points[-1] += np.random.default_rng(0).normal(0, 0.05, points[-1].shape)
    assert not verifier.judge(scene, moved(candidate, points), world.arm.model).ok


def test_judging_leaves_the_candidate_alone(verifier, scene, candidate, world):
    before = candidate.flow.points_world.copy()
    verifier.judge(scene, candidate, world.arm.model)
    assert np.array_equal(candidate.flow.points_world, before)
