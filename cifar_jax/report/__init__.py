"""Pages, tables and pictures made from the files in the workdirs of runs. Never imports JAX."""
