"""Keeping the warehouse small and quick without changing a row that anybody can ask for."""

from boathouse.maintain.report import MaintenanceReport
from boathouse.maintain.run import maintain

__all__ = ["MaintenanceReport", "maintain"]
