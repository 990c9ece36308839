"""What people said of answers: read, held against one another, and made into strengths and preference
pairs."""

from icl.feedback.annotations import KINDS, Annotation, Comparison, Feedback, Said
from icl.feedback.reading import read_feedback
from icl.feedback.report import Report, Settings, report

__all__ = [
    "KINDS",
    "Annotation",
    "Comparison",
    "Feedback",
    "Report",
    "Said",
    "Settings",
    "read_feedback",
    "report",
]
