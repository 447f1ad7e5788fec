"""Beat schedules as data: task names and times, nothing else."""
