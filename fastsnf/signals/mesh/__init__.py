"""Meshes: read, checked, placed in a grid, and which of its points they enclose.

`read` parses files with trimesh after checks of our own (`files`), `check` says whether a mesh is closed,
`place` puts it into coordinates, `process` runs `worker` (libigl's fast winding number, `blocks`, `rays`) in
a child process, and `open` does all of it through a bit file.
"""
