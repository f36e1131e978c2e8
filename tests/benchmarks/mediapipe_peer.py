"""The MediaPipe process of the speed benchmark; it runs in an environment with mediapipe and without dhpe_tf.

It reads one JSON request a line, {"file": npz with a picture [H, W, 3] uint8, "calls": int}, and answers with the
milliseconds of each call, on the clock and of all processors, as a JSON list of pairs. A call finds the hands of a
single picture: palms, landmarks, hands in metres.
"""
import json
import sys
import time

import mediapipe
import numpy as np


def main():
  """Answers requests until the input ends."""
  answers, sys.stdout = sys.stdout, sys.stderr
  hands = mediapipe.solutions.hands.Hands(static_image_mode=True, max_num_hands=8, model_complexity=1)
  print(json.dumps('ready'), file=answers, flush=True)
  for line in sys.stdin:
    request = json.loads(line)
    picture = np.load(request['file'])['picture']
    times = []
    for _ in range(request['calls']):
      start_s, start_processor_s = time.perf_counter(), time.process_time()
      hands.process(picture)
      times.append((1000 * (time.perf_counter() - start_s), 1000 * (time.process_time() - start_processor_s)))
    print(json.dumps(times), file=answers, flush=True)


if __name__ == '__main__':
  main()
