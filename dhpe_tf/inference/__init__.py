"""From a picture or a record to a result, by a model in training, an exported one or a fit."""
