"""DHPE on the evidence of a landmark network that is already trained: its keypoints in, the 63 numbers out."""
