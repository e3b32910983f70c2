"""Things that bend, in MuJoCo: a rope, a cloth, a plush body, a box with a lid."""
