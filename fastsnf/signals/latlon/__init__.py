"""Fields on a sphere in files of latitudes and longitudes: which slice is meant, reading it, writing one."""
