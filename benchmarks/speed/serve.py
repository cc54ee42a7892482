"""The worker's end of the pipe: reads requests and writes answers, each a line of JSON.

A waiting worker sleeps, and so takes no processor time from the side that computes.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Handlers = dict[str, Callable[..., dict[str, Any]]]


def serve(handlers: Handlers) -> None:
  """Answers requests until the pipe closes.

  A request is `{"do": NAME, **arguments}`. The answer is the result of the handler of that name, or
  `{"error": TEXT}` if the handler raised an exception.
  """
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)  # nothing else that is printed can be taken for an answer
  for line in sys.stdin:
    request = json.loads(line)
    try:
      answer = handlers[request.pop('do')](**request)
    except Exception as error:  # the controller decides what to do about it
      answer = {'error': ' '.join(f'{type(error).__name__}: {error}'.split())[:300]}
    print(json.dumps(answer), file=answers, flush=True)


def timed(run: Callable[[], Any]) -> dict[str, Any]:
  """Returns the wall time of a call, in `seconds`."""
  start = time.perf_counter()
  run()
  return {'seconds': time.perf_counter() - start}


def resident_bytes() -> int:
  """Returns the memory of this process now."""
  with open('/proc/self/statm') as file:
    return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def peak_resident_bytes() -> int:
  """Returns the largest memory that this process ever had."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
