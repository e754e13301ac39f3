"""The experiments of "From Activation to Initialization: Scaling Insights for Optimizing Neural Fields".

Frequencies, learning rates and bounds of the widths are in a supplement that is not public: each study says
what it takes in their place.
"""
