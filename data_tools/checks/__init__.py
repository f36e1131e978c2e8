"""What `data_tools.validate` looks at: each check gathers over all records of a split and then says what is wrong."""
