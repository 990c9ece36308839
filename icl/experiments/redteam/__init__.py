"""Red teaming as a run: questions by a model, answers of another, verdicts; checked, rehearsed, resumed."""
