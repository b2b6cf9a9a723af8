"""How good a representation is: features, retrieval, nearest neighbours and the linear probe."""
