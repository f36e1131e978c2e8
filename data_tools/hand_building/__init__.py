"""Parts of `data_tools/build_hand_model.py`, which builds the hand model of this package."""
