"""What every learned model shares: datasets, score-based generation, the trainer, checkpoints."""
