"""Tables and plots from the files that runs leave in their work directories; never imports jax."""
