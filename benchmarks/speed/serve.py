"""The worker's end of the pipe: waits for a request, does it, answers; in JSON, a line each.

A worker that waits sleeps: it takes nothing from the side that computes.
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

  A request is `{"do": NAME, **arguments}`; the answer is what the handler returns, or
  `{"error": TEXT}` with what it raised.
  """
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)  # whatever else is printed is no answer
  for line in sys.stdin:
    request = json.loads(line)
    try:
      answer = handlers[request.pop('do')](**request)
    except Exception as error:  # goes to the one who asked
      answer = {'error': ' '.join(f'{type(error).__name__}: {error}'.split())[:300]}
    print(json.dumps(answer), file=answers, flush=True)


def timed(run: Callable[[], Any]) -> dict[str, Any]:
  """The wall seconds that a call takes."""
  start = time.perf_counter()
  run()
  return {'seconds': time.perf_counter() - start}


def resident_bytes() -> int:
  """What the process holds in memory now."""
  with open('/proc/self/statm') as file:
    return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def most_resident_bytes() -> int:
  """The most that the process ever held in memory."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
