"""From MJML to the html of a mail, styles into its elements, and the text of a mail without one.

Both libraries are native code that recurses: nested elements end the whole process, mjml-python
1.4.2 at about 1,500, css-inline 0.23.1 at about 10,000 (measured). Which elements are nested only
a parser as lenient as theirs could tell, so all there are count as nested.
"""

import re
from collections.abc import Mapping
from typing import Any

import css_inline
import mjml

from services.orchestrator.message_templates.render import Parts, TemplateInvalid, render
from services.orchestrator.message_templates.words import plain_text

MJML_ELEMENTS = 500
INLINE_ELEMENTS = 3_000
INLINE_MATCHES = 2_000_000
"""Elements times rules: what inlining may have to compare, well below a second."""
_OPENING = re.compile(r"<[A-Za-z]")
_inliner = css_inline.CSSInliner(
    load_remote_stylesheets=False, keep_style_tags=True, keep_link_tags=True
)


def compile_mjml(source: str) -> str:
    """Html with the Liquid of the source as it is; raises ``TemplateInvalid``."""
    elements = len(_OPENING.findall(source))
    if elements > MJML_ELEMENTS:
        raise TemplateInvalid("mjml", f"{elements} elements; at most {MJML_ELEMENTS} are accepted")
    try:
        # Files and addresses that it names are not read: there is no loader.
        return str(mjml.mjml2html(source, disable_comments=True))
    except ValueError as error:
        raise TemplateInvalid("mjml", str(error)[:300]) from error


def inline(html: str) -> str:
    """Rules of `<style>` written into the elements they are for, as many mail programs read no
    others; what has too many elements or rules for that stays as it is."""
    if "<style" not in html.lower():
        return html
    elements, rules = len(_OPENING.findall(html)), html.count("{")
    if elements > INLINE_ELEMENTS or elements * rules > INLINE_MATCHES:
        return html
    try:
        return _inliner.inline(html)
    except css_inline.InlineError:
        return html


def render_mail(source: Parts, variables: Mapping[str, Any]) -> Parts:
    """As ``render``, ready to be sent: styles inlined, and a text where the source has none."""
    parts = render(source, variables)
    html = None if parts.html is None else inline(parts.html)
    text = plain_text(html or "") if parts.text is None else parts.text
    return Parts(parts.subject, text, html)
