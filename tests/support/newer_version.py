"""workflow-service as its next version would be, if that one wrote what this one cannot read."""

from workflow_service.domain import formats

formats.FORMAT += 1

if __name__ == "__main__":
    from workflow_service.__main__ import main

    main()
