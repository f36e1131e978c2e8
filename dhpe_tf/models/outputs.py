"""What a hand model returns: the names, shapes and meaning of its outputs, the same in training, export and serving.

B images, V vertices, K = 21 keypoints, S the image side, M the mask side, T the number of rounds of the regressor. Crop
space is [-1, 1] in x and y, z of the same scale; the model's hand is a right hand.
"""

OUTPUTS = {
    'heatmaps': '[B, 32, 32, K] heat maps of the last stage',
    'heatmap_stages': 'list of [B, 32, 32, K], one a stage of the keypoint net',
    'features': '[B, F] feature vector of the picture',
    'joints_2d_rounds': '[B, 1 + T, K, 2] 2D joints in the crop: read from the heat maps, then refined in each round '
                        '([B, 1, K, 2] without refiner)',
    'parameters': '[B, 63] the regressed vector h, see hand.parameters',
    'pose': '[B, 45] axis-angle of 15 joints about the flat hand, radians',
    'shape': '[B, 10] shape coefficients',
    'camera': '[B, 8] unit quaternion (w, x, y, z), scale (crop units per metre), translation (crop units)',
    'vertices': '[B, V, 3] mesh in crop space',
    'joints_2d': '[B, K, 2] keypoints of the mesh in the crop',
    'joints_3d': '[B, K, 3] keypoints of the mesh in crop space',
    'mask': '[B, M, M] share of each pixel that the mesh covers',
}
