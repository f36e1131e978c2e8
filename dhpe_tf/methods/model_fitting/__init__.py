"""Fitting the hand model to 2D joints and masks, without any training."""
