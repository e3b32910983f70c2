"""`python -m armflow.launch.warm`: do once, at set-up, what would make the first run slow.

Compiled kernels and simplified meshes are kept on disk; playing a few episodes makes all that later ones use.
"""

import time

from armflow.launch.choices import arm_names
from armflow.launch.threads import use_one_thread

__all__ = ["warm"]

TASKS = ("PickPlace", "HangMug")


def warm() -> None:
    """Load every arm, and play one episode of two tasks without a video."""
    use_one_thread()
    started = time.perf_counter()
    print("compiling kernels and simplifying meshes, once", flush=True)
    from armflow.launch.episode import EpisodeSpec, make_world, play

    for arm in arm_names():
        world = make_world(EpisodeSpec("Push", arm, "hold", 0))
        world.close()
    for task in TASKS:
        play(EpisodeSpec(task, "panda", "flow", 0))
    print(f"ready after {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    warm()
