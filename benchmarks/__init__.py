"""Benchmarks of fastsnf beside eager PyTorch: cases declared once, one timer, a gate before any number.

`python -m benchmarks` runs them. `cases` says what is measured, and the floors; `worker` measures one case in
a process of its own, because glibc's allocator and the instruction set are settings of a process.
"""
