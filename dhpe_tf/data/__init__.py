"""Record sets on disk, image files, augmentation and the input pipeline."""
