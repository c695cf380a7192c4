"""One video in segments: a plan of jobs, each with a journal, and one journal of all, of which everything is made.

``plan_segments`` returns ordinary jobs; whoever runs them (processes, machines, people) runs
``Session(settings).run(job)`` for each, in any order. ``join_journals`` makes the journal that a run over the whole
video would have, and the whole job, run with ``resume``, makes its outputs of that: nothing is measured again, and
there are no seams.
"""
