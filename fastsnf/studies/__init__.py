"""Studies: papers' tables and figures, run again beside the papers' numbers."""
