"""Predictors: one interface to methods in training, exported models and fits."""
