"""Occupancy grids: fits, decodes, memory, meshes in and out, and several processes.

Every case runs in a process of its own and gives a record of figures, each with the floor that it
has to reach.
"""
