"""Losses: pure functions of tensors that give one number an instance, `[B]`.

Weights are 0 or 1, or any number between. What weighs zero adds nothing to the loss and nothing to the gradient,
whatever its label holds. The paper writes squared L2 norms and does not say how they are reduced: `reduction='mean'`
(the default) or `'sum'` (the norm as written). Weights of joints or vertices make the mean a weighted one, so that a
partly labelled instance counts like any other; weights `[B]` of instances multiply what the loss gives them.
"""
