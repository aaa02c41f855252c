"""From a config to a run: pin the data, fit the model's heads to its classes, hand over to MMEngine's Runner."""
