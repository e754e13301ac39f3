"""What reads fields and results and never trains: pictures of a run."""
