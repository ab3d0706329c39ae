"""Whether the rows of today still look like those that the model was trained on."""
