"""The stages: each reads files and writes files, and knows nothing of Snakemake. One module a stage, one stage a rule."""
