"""The type of a `dtype` field."""

from typing import Any

Dtype = Any
