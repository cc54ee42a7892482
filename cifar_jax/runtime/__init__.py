"""The machine that a run uses: devices, processes, signals, XLA flags and the console."""
