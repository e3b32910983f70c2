"""What every learned model shares; empty until the first one is trained."""
