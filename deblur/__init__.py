"""`deblur`: restore blurred pictures, with masked convolutions whose inverse is computed exactly.

The public names load what they need when they are first used, so that `import deblur` costs next to nothing.

Example:
    >>> import deblur
    >>> deblur.__version__
    '0.1.0'
"""

from __future__ import annotations

__version__ = "0.1.0"
