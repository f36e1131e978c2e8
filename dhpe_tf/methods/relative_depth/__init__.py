"""2.5D regression: 2D joints, relative depths in bones, and the root's depth; learns from 2D labels too."""
