"""The room of vector labels: OSM files to features, the ontology, features to label arrays."""
