"""From a scene and a command to checked motion: flows, verdicts, grasps, trajectories, and the loop around them.

Names are imported when they are first asked for, since the compiled solvers behind them take a while.
"""

from typing import TYPE_CHECKING

from armflow.robot.lazy import lazy_names

if TYPE_CHECKING:
    from armflow.planning.controller import FlowController, FlowControllerConfig
    from armflow.planning.flow_model.goal_flow import FlowModel, GoalFlow, GoalFlowConfig
    from armflow.planning.optimize import OptimizeConfig, Trajectory, plan_joint_path, plan_pose_path
    from armflow.planning.overlay import Overlay
    from armflow.planning.planner import Plan, Planner, PlannerConfig, Refusal
    from armflow.planning.scene import Candidate, Scene, Verdict

_HOMES = {
    "controller": ("FlowController", "FlowControllerConfig"),
    "flow_model.goal_flow": ("FlowModel", "GoalFlow", "GoalFlowConfig"),
    "optimize": ("OptimizeConfig", "Trajectory", "plan_joint_path", "plan_pose_path"),
    "overlay": ("Overlay",),
    "planner": ("Plan", "Planner", "PlannerConfig", "Refusal"),
    "scene": ("Candidate", "Scene", "Verdict"),
}

__all__ = [
    "Candidate",
    "FlowController",
    "FlowControllerConfig",
    "FlowModel",
    "GoalFlow",
    "GoalFlowConfig",
    "OptimizeConfig",
    "Overlay",
    "Plan",
    "Planner",
    "PlannerConfig",
    "Refusal",
    "Scene",
    "Trajectory",
    "Verdict",
    "plan_joint_path",
    "plan_pose_path",
]

__getattr__ = lazy_names(__name__, _HOMES)
