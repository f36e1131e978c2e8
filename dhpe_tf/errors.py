"""The exception for errors that the user can repair."""


class UserError(ValueError):
  """Bad input, configuration or environment. The message is one line: what is wrong, where, and the remedy.

  The command lines print it as `error: ...` with exit status 1 and no traceback.
  """
