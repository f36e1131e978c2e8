"""The DEODR process of the renderer's benchmark; it runs in an environment with deodr and without dhpe_tf.

It reads one JSON request a line, {"file": npz of vertices [N, V, 3] and faces, "size": int, "what": "hard",
"antialiased" or "both" (forward + backward), "batch": int, "calls": int, "clock": "wall" or "cpu"}, and answers with
the milliseconds of each call as a JSON list. DEODR draws one image at a time. Finding the silhouette edges of each view
is part of its time, as it is of ours.
"""
import json
import sys
import time

import deodr
import numpy as np


def _scene(faces, vertices, mesh, size, edges):
  """Builds the DEODR scene of one view, vertices [V, 3] (pixels, depth); with silhouette edges if `edges`."""
  count = len(vertices)
  points = np.ascontiguousarray(vertices[:, :2] - .5)
  return deodr.Scene2D(
      faces=faces, faces_uv=faces, ij=points, depths=vertices[:, 2].copy(), textured=np.zeros(len(faces), bool),
      uv=np.zeros((count, 2)), shade=np.zeros(count), colors=np.ones((count, 1)), shaded=np.zeros(len(faces), bool),
      edgeflags=mesh.edge_on_silhouette(points) if edges else np.zeros((len(faces), 3), bool), height=size, width=size,
      nb_colors=1, texture=np.zeros((0, 0)), background_color=np.zeros(1), backface_culling=True, clockwise=True)


def _draw(faces, views, mesh, size, what):
  """Draws each view, and its gradient if `what` is 'both'."""
  for view in views:
    scene = _scene(faces, view, mesh, size, what != 'hard')
    image, _ = scene.render(sigma=0 if what == 'hard' else 1)
    if what == 'both':
      scene.render_backward(2 * image)


def main():
  """Answers requests until the input ends."""
  answers, sys.stdout = sys.stdout, sys.stderr
  print(json.dumps('ready'), file=answers, flush=True)
  loaded = {}
  for line in sys.stdin:
    request = json.loads(line)
    if request['file'] not in loaded:
      with np.load(request['file']) as data:
        faces = data['faces'].astype(np.uint32)
        vertices = data['vertices'].astype(np.float64)
        loaded[request['file']] = faces, vertices, deodr.TriMesh(faces, vertices[0])
    faces, vertices, mesh = loaded[request['file']]
    views = vertices[:request['batch']]
    times, clock = [], time.process_time if request['clock'] == 'cpu' else time.perf_counter
    for k in range(request['calls'] + 1):
      start = clock()
      _draw(faces, views, mesh, request['size'], request['what'])
      if k:
        times.append(1000 * (clock() - start))
    print(json.dumps(times), file=answers, flush=True)


if __name__ == '__main__':
  main()
