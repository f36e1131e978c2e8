"""The MediaPipe process of the speed benchmark; it runs in an environment with mediapipe and without dhpe_tf.

It reads one JSON request a line, {"file": npz with a picture [H, W, 3] uint8, "calls": int}, and answers with the
milliseconds of each call as a JSON list. A call finds the hands of a single picture: palms, landmarks, hands in metres.
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
      start = time.perf_counter()
      hands.process(picture)
      times.append(1000 * (time.perf_counter() - start))
    print(json.dumps(times), file=answers, flush=True)


if __name__ == '__main__':
  main()
