"""Models that predict how an object must move in 3D."""
