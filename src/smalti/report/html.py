"""HTML for the pages of smalti, which use nothing from outside their folder."""

import html

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
h1, h2 { font-weight: 600 } h2 { margin-top: 2.5rem }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: 100% }
figcaption { font-size: .85rem; color: #666 }
img { max-width: 100% }
img.small { image-rendering: pixelated; width: 40rem }
code { background: #f3f3f3; padding: .1em .3em }
th { text-align: left; font-weight: 400; color: #666; padding-right: 2rem; vertical-align: top }
.good { border-left: .3rem solid #3a8a4d; padding-left: 1rem }
.bad { border-left: .3rem solid #c0392b; padding-left: 1rem; margin: 1rem 0 }
"""


def document(title: str, body: str, reload_seconds: int | None = None) -> str:
    """Make a whole page around a body that is HTML already.

    With `reload_seconds` a browser loads the page anew after so many seconds.
    """
    reload = f'<meta http-equiv="refresh" content="{reload_seconds}">' if reload_seconds else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width">{reload}<style>{STYLE}</style></head><body>
{body}
</body></html>
"""


def figure(file: str, caption: str, css_class: str = "") -> str:
    """Make a figure of a picture in the page's folder, with a caption below it."""
    name, words = html.escape(file), html.escape(caption)
    styled = f' class="{css_class}"' if css_class else ""
    return (
        f'<figure><img{styled} src="{name}" alt="{words}"><figcaption>{words}</figcaption></figure>'
    )


def table(rows: dict[str, str]) -> str:
    """Make a table of two columns, names and values."""
    cells = (
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"
