"""Networks and Keras layers: trunks, feature head, keypoint nets, the posed hand and its silhouette."""
