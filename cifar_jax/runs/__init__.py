"""The files of a run: workdir, checkpoints with checksums, metric log, provenance and results."""
