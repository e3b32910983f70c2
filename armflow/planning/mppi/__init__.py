"""Goal-conditioned planning with a model of how an object moves: contacts, paths, and their closed loop."""
