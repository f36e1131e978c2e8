"""Dense hand pose estimation by neural rendering: the method of Baek, Kim and Kim (CVPR 2019)."""
