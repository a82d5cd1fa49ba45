"""What things cost, measured. Each file is a program: `python -m benchmarks.<name>`."""
