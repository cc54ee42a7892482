"""What is measured against what; the results are in `results/`."""
