"""LARS (You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 2017): a rate for each layer."""
import tensorflow as tf


class Lars(tf.keras.optimizers.Optimizer):
  """Momentum whose step is in proportion to the length of the weight that it changes.

  With gradient g of weight w, decay d, trust t, rate r and momentum m,

    l = t |w| / (|g + d w|),    v <- m v + l r (g + d w),    w <- w - v.

  The paper has |g| + d |w| below; both agree where one of the two is small. Vectors and scalars (biases and the weights
  of normalisations), and weights or gradients of length 0, have l = 1; the first have no decay either.
  """

  def __init__(self, learning_rate=0.1, momentum: float = 0.9, layer_decay: float = 0., trust: float = 1e-3,
               name: str = 'Lars', **options):
    """Keeps the settings.

    Args:
      learning_rate: r, a number or a schedule.
      momentum: m.
      layer_decay: d, of matrices and kernels. It scales with l, unlike Keras's `weight_decay`.
      trust: t.
      name: of the optimizer.
      **options: further ones of Keras's optimizers.
    """
    super().__init__(name=name, **options)
    self._learning_rate = self._build_learning_rate(learning_rate)
    self.momentum, self.layer_decay, self.trust = momentum, layer_decay, trust

  def build(self, var_list) -> None:
    """Creates the momenta of the weights, zeros."""
    super().build(var_list)
    if getattr(self, '_built', False):
      return
    self.momenta = [self.add_variable_from_reference(model_variable=variable, variable_name='momentum')
                    for variable in var_list]
    self._built = True

  def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
    """Changes one weight by its gradient."""
    rate = tf.cast(self.learning_rate, variable.dtype)
    gradient = tf.convert_to_tensor(gradient)  # sparse ones too
    if variable.shape.rank > 1:
      gradient += self.layer_decay * variable
      length, steep = tf.norm(variable), tf.norm(gradient)
      rate = rate * tf.where((length > 0) & (steep > 0), tf.math.divide_no_nan(self.trust * length, steep), 1.)
    momentum = self.momenta[self._index_dict[self._var_key(variable)]]
    momentum.assign(self.momentum * momentum + rate * gradient)
    variable.assign_sub(momentum)

  def get_config(self) -> dict:
    """Returns the arguments of the constructor."""
    return {**super().get_config(), 'learning_rate': self._serialize_hyperparameter(self._learning_rate),
            'momentum': self.momentum, 'layer_decay': self.layer_decay, 'trust': self.trust}
