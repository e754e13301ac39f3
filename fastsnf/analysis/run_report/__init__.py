"""``report.html``: what a run was, how well it went and how to repeat it, as one page without network.

`report.write_report` gathers; `page` is the HTML, `picture` the pictures in it, `gallery` what is shown of
each kind of signal, `plotted` what matplotlib draws, `machine` and `reproduce` the facts.
"""
