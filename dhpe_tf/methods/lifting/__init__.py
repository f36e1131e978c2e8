"""Lifting 2D joints to 3D joints: the PosePrior network of Zimmermann and Brox (ICCV 2017)."""
