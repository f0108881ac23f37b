"""The number that tells replicas of different versions apart, so that they can work side by side."""

# Raised whenever a version writes plans or journals that the one before it could not read. A drive leaves its version's
# number on the execution, and a replica of a lower number leaves that execution to the newer ones.
# 2: alerts that resolve, and plans that say what that means.
# 3: alerts that a workflow seems to have caused, and steps that say themselves how they are undone.
FORMAT = 3
