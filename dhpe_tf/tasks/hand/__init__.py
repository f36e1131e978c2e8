"""The hand task: from one crop of a picture to joints, mesh, camera and mask of one hand."""
