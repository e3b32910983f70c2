"""`PolicyController`: a learned policy behind the same protocol as the flow planner."""

from collections.abc import Callable

import numpy as np

from armflow.perception.observation import Observation
from armflow.policies.agent import PolicyAgent
from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import ChoiceError, StackError
from armflow.robot.model import RobotModel
from armflow.robot.pusher import PusherKinematics
from armflow.robot.tool_motion import tool_chunk

__all__ = ["ACTIONS", "PolicyController", "PolicyInputError"]

PUSH_SECONDS = 0.1  # one action of BlockPush

ToChunk = Callable[[np.ndarray, Observation], ActionChunk]


class PolicyInputError(StackError):
    """The task offers a policy no state or no goal in numbers."""


class PolicyController:
    """Asks a policy for one action at a time and turns it into joint motion; ends only when the runner does.

    Attributes:
        needs_frame: Whether the policy sees pictures.
    """

    def __init__(self, agent: PolicyAgent, to_chunk: ToChunk, name: str) -> None:
        """Take the agent, the meaning of its actions, and a name for messages."""
        self._agent, self._to_chunk, self._name = agent, to_chunk, name
        self._actions = 0
        self.needs_frame = agent.eye is not None

    def reset(self, instruction: str) -> None:
        """Forget the last episode; the goal comes with each observation."""
        self._agent.reset()
        self._actions = 0

    def act(self, observation: Observation) -> ActionChunk | None:
        """Return the joints for the policy's next action.

        Raises:
            PolicyInputError: The observation has no state or no goal.
            PictureError: The camera does not show the view that the policy was trained on.
        """
        if observation.state is None or observation.goal is None:
            raise PolicyInputError(
                f"{self._name} works on tasks that tell their state and goal in numbers; this one does not"
            )
        picture = self._agent.eye.view(observation.frame) if self._agent.eye else None
        action = self._agent.act(observation.state, observation.goal, picture)
        self._actions += 1
        return self._to_chunk(np.asarray(action, float), observation)

    def status(self) -> str:
        """Say how far it is."""
        return f"{self._name}: {self._actions} actions"


def _push(arm: RobotModel) -> ToChunk:
    """Shifts [2], m, of a pusher's commanded place, which the task tells in columns 8 and 9 of its state."""
    kinematics = PusherKinematics(arm)

    def to_chunk(action: np.ndarray, observation: Observation) -> ActionChunk:
        assert observation.state is not None
        q = kinematics.joints(observation.state[8:10] + action)
        return ActionChunk(q[None], np.ones(1), PUSH_SECONDS, observation.stamp)

    return to_chunk


def _play_table(arm: RobotModel) -> ToChunk:
    """Tool velocity and gripper [4], each in -1 to 1."""
    return lambda action, observation: tool_chunk(arm, observation.q, np.clip(action, -1.0, 1.0), observation.stamp)


ACTIONS: dict[str, Callable[[RobotModel], ToChunk]] = {"BlockPush": _push, "PlayTable": _play_table}
"""What the actions of an environment's data mean to an arm."""


def meaning(environment: str, arm: RobotModel) -> ToChunk:
    """Return what actions learned in an environment mean to an arm.

    Raises:
        ChoiceError: No such environment.
    """
    if environment not in ACTIONS:
        raise ChoiceError("environment of the policy's data", environment, ACTIONS)
    return ACTIONS[environment](arm)
