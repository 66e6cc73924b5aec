"""What jobs cost: measured models of each stage, and what the rules ask of a scheduler."""

from tilewright.costs.asking import asked
from tilewright.costs.expected import Known, work_of
from tilewright.costs.models import STAGES, job_cost
from tilewright.costs.work import Cost, Work

__all__ = ["STAGES", "Cost", "Known", "Work", "asked", "job_cost", "work_of"]
