"""Jobs on a cluster, by Ray: placed on its nodes and watched, and otherwise as a :class:`Session` runs them.

Only jobs, settings and summaries travel, never frames. A task keeps nothing but the nets in its process, and its
journal lies where its outputs will be; so a task whose worker or node is lost runs again elsewhere, and resumes.
"""
