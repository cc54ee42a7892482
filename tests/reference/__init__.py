"""Reference results of PyTorch as JSON, and the scripts that made them.

`make_logits.py` and `make_deformable.py` run the nets of `benchmarks/torch_reference`, which
`nets.py` lists, `make_sgd.py` runs Torch's optimizer, and `make_names.py` reads the names of public
nets. The scripts are run by hand: they import PyTorch, which the tests do not need.
"""
