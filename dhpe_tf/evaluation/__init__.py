"""Running methods over records and writing down what a task measures; knows no task."""
