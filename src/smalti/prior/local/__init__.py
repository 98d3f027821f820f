"""The local prior: a transformer whose cells attend to their neighbourhood only."""
