"""Former names of gin settings, so that trainings of earlier versions still load."""
import re

# (pattern in a line of gin, current name), applied in this order. The module before a name is optional.
_RENAMED = (
    (r'\btrain\.build_model\b', 'Experiment.method'),
    (r'^train\.build_dataset\s*=\s*@(dhpe_tf\.)?build_dataset\s*$', ''),
    (r'\btrain\.build_dataset\b', 'Experiment.dataset'),
    (r'\bdhpe_tf\.build_dataset\b', 'build_dataset'),
    (r'@(train\.)?pck_curve\b', '@train.held_out_measures'),
    (r'\b(train\.)?pck_curve\.', 'train.held_out_measures.'),
    (r'\b(dhpe\.)?build_model\.hand_file\b', 'HandTask.hand_file'),
    (r'(?<![\w.])build_model\b', 'dhpe.build_model'),  # the only one, before other methods had a function of this name
    (r'@(baselines\.)?lifting\b(?!\.)', '@lifting.pose_prior'),
    (r'^(\s*)(baselines\.)?lifting\.(?!pose_prior)', r'\1lifting.pose_prior.'),
    (r'\bbaselines\.(levenberg_marquardt|particle_swarm)\b', r'model_fitting.\1'),
    (r'\b(baselines|model_fitting)\.HandSpace\b', 'hand.HandSpace'),
    (r'^(\s*)(baselines\.)?swarm\.', r'\1minimise_by_swarm.'),
    (r'^(\s*)(baselines\.)?least_squares\.', r'\1minimise_squares.'),
    (r'\bloss_weights\.refinement\b', 'loss_weights.refiner'),
    (r'\bloss_weights\.pose_prior\b', 'loss_weights.joint_limits'),
    (r'\b(losses\.)?refinement_loss\.', 'refiner_loss.'),
    (r'\bConsistency\.pose_prior\b', 'Consistency.joint_limits'),
    (r'\brefinement\.descend\b', 'descend'),
    (r'\brefinement\.joint_confidence\b', 'joint_confidence'),
    (r'\b(dhpe_tf\.)?\bcrop\.box_margin\b', 'hand_crop.box_margin'),
    (r'\bdhpe_tf\.depth_label_weights\b', 'depth_label_weights'),
    (r'\bOffspring\.seeds_per_batch\b', 'Offspring.parents_per_batch'),
    (r'\bOffspring\.instances_per_seed\b', 'Offspring.instances_per_parent'),
    (r'\bschedules\.constant\b', 'constant_rate'),
    (r'@(cross_modal_vae\.)?with_skeletons\b', '@hand.with_partial_labels'),
    (r'\b(cross_modal_vae\.)?with_skeletons\.skeletons(?=(_per_batch)?\b)', 'with_partial_labels.partial'),
    (r'\b(cross_modal_vae\.)?with_skeletons\.', 'with_partial_labels.'),
)


def renew(text: str) -> str:
  """Replaces former names of settings in a gin text by the current ones."""
  for pattern, now in _RENAMED:
    text = re.sub(pattern, now, text, flags=re.MULTILINE)
  return text
