"""What `data_tools.validate` looks at in records of hands."""
