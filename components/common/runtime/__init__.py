"""What surrounds a step: parameters, command line, logging, events, errors, resources."""
