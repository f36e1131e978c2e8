"""The hand task: one crop of a picture in; joints, mesh, camera and mask of one hand out."""
