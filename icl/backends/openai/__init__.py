"""Any server that speaks OpenAI's API, through the official client.

settings.py   the options, checked
client.py     requests: side by side, tried again, within a deadline and a budget
loop.py       where they run
faults.py     what can be told from one that went wrong
answers.py    what comes back, in the shapes that servers have
tokenizer.py  text <-> ids: the server's own calls, or a tokenizer that is at hand
served.py     which models the server has, and how long their context is
speaking.py   requests in the words of an endpoint, and what has been found out about it
probe.py      what the server really does, by requests whose right answers are known
proofs.py     the part of it that is about scoring
ways.py       in which ways labels can be scored, and how each is said
scoring.py    log-probabilities of continuations in one of them
writing.py    samples
model.py      the LanguageModel
"""

from icl.backends import BACKENDS
from icl.backends.openai.model import OpenAIModel

BACKENDS.register("openai")(OpenAIModel)
