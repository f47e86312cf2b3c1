"""What is wrong with a dataset, on one page: answered from the existing tables, without computing anything."""
