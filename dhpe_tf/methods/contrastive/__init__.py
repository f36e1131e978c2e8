"""Contrastive pre-training: pairs of views of unlabelled hands teach a trunk, with or without their turns undone."""
