"""Published accuracies for comparison.

Areas under the PCK curve from 20 to 50 mm. Papers differ in range, alignment and keypoints (see `protocols`), which
changes the area by 0.01 and more: the numbers are landmarks, not results under equal rules. Those marked 'digitised'
were read off printed curves.
"""
from dhpe_tf.tasks.measured import Published

RANGE_MM = (20, 50)  # range of thresholds of these areas
# Of RHD the first two are known to count visible keypoints only; of the others it is not known.
_RHD = (
    Published('Zimmermann and Brox 2017', .675, 'visible keypoints'),
    Published('Spurr et al. 2018', .849, 'visible keypoints'),
    Published('Cai et al. 2018', .887), Published('Ge et al. 2019', .920),
    Published('Baek et al. 2019', .926, 'digitised'), Published('Yang et al. 2019', .943))
AUC_20_50 = {
    'zb-rhd': _RHD, 'zb-rhd-visible': _RHD,
    'zb-stb': (
        Published('PSO', .709), Published('ICPPSO', .748), Published('CHPR', .839),
        Published('Panteleris et al. 2018', .941, 'from 22 mm'), Published('Zimmermann and Brox 2017', .948),
        Published('Mueller et al. 2018', .965), Published('Spurr et al. 2018', .983),
        Published('Iqbal et al. 2018', .994), Published('Cai et al. 2018', .994),
        Published('Boukhayma et al. 2019', .994)),
    'paper-do': (
        Published('Spurr et al. 2018', .509), Published('Zimmermann and Brox 2017', .572),
        Published('Boukhayma et al. 2019', .634), Published('Iqbal et al. 2018', .646),
        Published('Mueller et al. 2018', .660)),
}
