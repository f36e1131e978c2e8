"""Parts of the tool that builds the hand model we ship; `data_tools/build_hand_model.py` puts them together."""
