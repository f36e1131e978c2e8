"""Losses: pure functions of tensors that give one number per instance, `[B]`.

Weights are 0 or 1, or any number between. A label of weight zero adds nothing to the loss and nothing to the gradient,
whatever it holds, even NaN. The paper writes squared L2 norms and does not say how they are reduced:

  reduction='sum':   ||a - b||^2 = sum_i w_i (a_i - b_i)^2, the norm as written;
  reduction='mean':  sum_i w_i (a_i - b_i)^2 / sum_i w_i, the default.

So a partly labelled instance counts like any other. Weights `[B]` of instances multiply their losses.
"""
