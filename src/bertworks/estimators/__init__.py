"""The public classes, one thin class a task. They alone join a task with training, inference and explanation."""
