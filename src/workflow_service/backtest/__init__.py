"""What another policy, other rules or templates would have made of the alerts that came: each is planned twice.

Only reads the database. What would happen now, with an executor that is asked, belongs into `simulation`.
"""
