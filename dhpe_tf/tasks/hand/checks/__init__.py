"""Checks of records of hands, for `data_tools.validate`."""
