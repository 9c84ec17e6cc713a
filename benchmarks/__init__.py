"""What the engine costs, measured: each module prints a table and writes `results/NAME.json`.

python -m benchmarks               all of them, then docs/performance.md from the results
python -m benchmarks.knockouts     one of them
"""
