"""Refinement at test time: gradient descent on Eq. 13 from the model's estimate (paper section 3.4)."""
