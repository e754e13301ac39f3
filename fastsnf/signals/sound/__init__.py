"""Sound files: what their headers promise, whether the file keeps it, decoding and writing by libsndfile."""
