"""The studio: a page in the browser that looks into models and runs of this machine.

`app.py` puts it together. Each tab of the page is a module with its addresses (`codes.py`,
`runs.py`), a module with what they compute, and a module of the page in `static/tabs`.
"""
