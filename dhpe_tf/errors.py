"""The one exception that means: the user can mend this."""


class UserError(ValueError):
  """Bad input, configuration or environment; its message is one line naming what is wrong, where, and the remedy.

  The command lines print it as `error: ...` with exit status 1 and no traceback.
  """
