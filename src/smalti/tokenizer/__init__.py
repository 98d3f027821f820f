"""images <-> codes: the first stage.

Reference: arXiv:2012.09841, Sec. 3.1.
"""

# Each of these registers its kind of tokenizer.
from smalti.tokenizer import pixels as pixels
from smalti.tokenizer import vqgan as vqgan
from smalti.tokenizer.base import load_tokenizer as load_tokenizer
