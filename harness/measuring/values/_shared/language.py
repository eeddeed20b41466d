"""Words to make texts of, so that no file has to be brought for them."""

from typing import Final

_TEXT: Final = """
    account address answer anchor autumn basket bottle branch bridge button candle carpet castle cheese circle coffee
    colour corner cotton course credit dinner doctor dollar engine fabric family farmer finger flower forest friend
    garden guitar hammer harbor island jacket kettle kitchen ladder lesson letter lights market meadow mirror moment
    morning mother needle number office orange orchard packet pencil people pepper pillow planet pocket potato present
    question rabbit record region result river saddle school season shadow silver sister spring station street summer
    supper ticket timber travel tunnel valley village violin wagon water weather window winter writer
"""

WORDS: Final = tuple(_TEXT.split())
