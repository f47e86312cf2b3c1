"""What is wrong with a dataset, on one page: answered from the tables that are there, nothing is computed."""
