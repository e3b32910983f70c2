"""Where and how to hold or touch an object, ranked by whether the whole motion stays possible afterwards."""

from armflow.planning.grasp.antipodal import antipodal_grasps
from armflow.planning.grasp.by_kind import handle_grasps, object_grasps, push_contacts
from armflow.planning.grasp.hand import Grasp
from armflow.planning.grasp.rank import RankedGrasp, RankResult, free_axis_of, rank_grasps

__all__ = [
    "Grasp",
    "RankResult",
    "RankedGrasp",
    "antipodal_grasps",
    "free_axis_of",
    "handle_grasps",
    "object_grasps",
    "push_contacts",
    "rank_grasps",
]
