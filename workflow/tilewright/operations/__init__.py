"""The room of what one does with a dataset while it is made and after: what is done, what failed and why, are its files whole."""
