"""Kubernaut's Workflow Orchestrator Service."""

__version__ = "0.1.0"
